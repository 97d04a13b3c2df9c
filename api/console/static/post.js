// Post an item, follow it until it can be recommended, then show who gets it.
import * as api from "./api.js";
import { audience } from "./audience.js";
import { showFirst } from "./catalogue.js";
import { byId, duration, el, sampleUsers, sentence, showProblem, wait } from "./dom.js";
import { chosenPicture, clearPicture } from "./upload.js";
import { journey, name, picture, reached, timeToRecommendable } from "./view.js";

const PATIENCE_MS = 60_000;
const HASTE_MS = 2000;
const form = byId("post-form");
const title = byId("post-name");
const live = byId("post-live");
const result = byId("post-result");
let busy = false;

/** Ids posted from this page: lists mark them. */
export const posted = new Set();

function addAttribute(key = "") {
  const remove = () => {
    row.remove();
    byId("attribute-add").focus();
  };
  const row = el("div", { class: "pair" },
    el("input", { "aria-label": "Attribute name", value: key, placeholder: "name", autocomplete: "off" }),
    el("input", { "aria-label": "Attribute value", placeholder: "value", autocomplete: "off" }),
    el("button", { type: "button", class: "icon-button", "aria-label": "Remove this attribute", onclick: remove }, "×"));
  byId("attributes").append(row);
  return row;
}

/** The filled rows; what looks like a number is one, so that it can be filtered by range. */
function attributes() {
  const pairs = [...byId("attributes").children].map((row) =>
    [...row.querySelectorAll("input")].map((input) => input.value.trim()));
  const typed = (value) => (/^-?(0|[1-9]\d{0,14})(\.\d{1,15})?$/.test(value) ? Number(value) : value);
  return Object.fromEntries(pairs.filter(([key, value]) => key && value).map(([key, value]) => [key, typed(value)]));
}

function setBusy(on) {
  busy = on;
  byId("post-submit").setAttribute("aria-disabled", on); // truly disabled, it would lose the focus
}

/** Scroll to the result: in the panel, where that scrolls by itself, and in the page. */
function reveal() {
  byId("post").scrollTop = result.offsetTop;
  result.scrollIntoView({ block: "nearest" });
}

/** Show each step as it is reached; returns the item once it is retrievable. */
async function follow(id) {
  const started = performance.now();
  let seen = 0;
  for (;;) {
    const record = await api.getItem(id);
    const waited = performance.now() - started;
    if (reached(record) !== seen) {
      result.replaceChildren(journey(record, seen));
      if (seen === 0) reveal();
      seen = reached(record);
    }
    if (record.status === "retrievable") return record;
    if (record.status === "dead") {
      throw new api.Problem({
        title: "The item could not be encoded", detail: record.error, remedy: "It is kept, and can be tried again",
      });
    }
    if (waited > PATIENCE_MS) {
      throw new api.Problem({
        title: "Still waiting", detail: "the item is safe, but was not encoded in a minute", remedy: "See if a worker runs",
      });
    }
    await wait(waited < HASTE_MS ? 20 : 300);
  }
}

/** The item is in: say so, and make room for the next. */
function celebrate(record) {
  posted.add(record.item_id);
  showFirst(record);
  document.dispatchEvent(new Event("counts"));
  live.textContent = `Accepted, encoded and retrievable after ${duration(timeToRecommendable(record))}.`;
  form.reset();
  clearPicture();
  result.firstChild.prepend(el("div", { class: "arrived" }, picture(record, "thumb"), el("b", {}, name(record))));
  if (!record.picture_error) return;
  const why = sentence(`the picture could not be used: ${record.picture_error}`);
  result.append(el("p", { class: "note" }, `Placed by its words alone. ${why}`));
}

async function post() {
  const id = byId("post-id").value.trim() || `item-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  const text = byId("post-text").value.trim();
  await api.putItem(id, { title: title.value.trim(), text, attributes: attributes(), image: await chosenPicture() });
  const record = await follow(id);
  celebrate(record);
  for await (const section of audience(id, sampleUsers)) {
    result.append(section);
    reveal();
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (busy) return;
  const missing = !title.value.trim();
  title.setAttribute("aria-invalid", missing);
  const untitled = { title: "The item needs a title", detail: "type one, then post again" };
  showProblem(byId("post-problem"), missing ? untitled : null);
  if (missing) {
    title.focus();
    return;
  }
  setBusy(true);
  result.replaceChildren();
  live.textContent = "Posting.";
  try {
    await post();
  } catch (problem) {
    live.textContent = "";
    showProblem(byId("post-problem"), problem);
  } finally {
    setBusy(false);
  }
});
title.addEventListener("input", () => title.removeAttribute("aria-invalid"));
byId("attribute-add").addEventListener("click", () => addAttribute().querySelector("input").focus());
addAttribute("category");
addAttribute("price");
