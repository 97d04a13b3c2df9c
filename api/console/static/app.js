// Starts the page: which section is shown, the figures in the header, the first page of the catalogue.
import * as api from "./api.js";
import { loadMore } from "./catalogue.js";
import "./detail.js";
import { byId, duration } from "./dom.js";
import "./post.js";
import { showPicks } from "./try.js";

const VIEWS = ["browse", "post", "try"];
const REFRESH_MS = 5000;

function showView() {
  const view = VIEWS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "browse";
  document.body.dataset.view = view;
  for (const name of VIEWS) byId(`nav-${name}`).setAttribute("aria-current", name === view ? "page" : "false");
  showPicks();
}

/** A link to a section also moves the focus there, past the cards of the catalogue. */
function follow(event) {
  const link = event.target.closest('a[href^="#"]');
  if (!link) return;
  event.preventDefault();
  history.pushState(null, "", link.hash);
  showView();
  byId(`${link.hash.slice(1)}-title`).focus();
}

async function showFigures() {
  if (document.visibilityState === "hidden") return;
  try {
    const { counts, adapter_version: version, time_to_recommendable: ttr } = await api.status();
    byId("figure-retrievable").textContent = (counts.retrievable ?? 0).toLocaleString("en");
    byId("figure-pending").textContent = ((counts.pending ?? 0) + (counts.encoding ?? 0)).toLocaleString("en");
    byId("figure-ttr").textContent = ttr.p50_ms === null ? "–" : duration(ttr.p50_ms);
    byId("figure-adapter").textContent = version.slice(0, 8);
    byId("figure-adapter").title = version;
  } catch {
    // The figures stay as they were; whatever the reader does next says what is wrong.
  }
}

addEventListener("hashchange", showView);
document.addEventListener("click", follow);
document.addEventListener("counts", showFigures);
document.addEventListener("visibilitychange", showFigures);
showView();
loadMore();
showFigures();
setInterval(showFigures, REFRESH_MS);
