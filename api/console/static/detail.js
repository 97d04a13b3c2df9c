// One item in a dialog: what it is, how it got here, what the adapter used, what is near it.
import * as api from "./api.js";
import { byId, el, sentence, showProblem } from "./dom.js";
import { badge, journey, name, picture, strip } from "./view.js";

const dialog = byId("detail");
const body = byId("detail-body");
const NAMES = { text: "Words", image: "Picture" };

function gates(weights) {
  return el("div", { class: "gates", role: "group", "aria-label": "What the adapter listens to" },
    Object.entries(weights).map(([part, weight]) => {
      const bar = el("i");
      bar.style.width = `${Math.min(Math.max(weight, 0), 1) * 100}%`;
      return el("div", { class: `gate ${part}` }, NAMES[part] ?? part, el("div", { class: "bar", "aria-hidden": "true" }, bar),
        el("span", { class: "number" }, `${Math.round(weight * 100)} %`));
    }));
}

function facts(record) {
  const rows = Object.entries(record.attributes).map(([key, value]) => [key, Array.isArray(value) ? value.join(", ") : String(value)]);
  rows.push(["id", record.item_id]);
  return el("dl", { class: "facts" }, rows.flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]));
}

function show(record) {
  const modalities = record.modalities.length ? record.modalities.map((part) => (NAMES[part] ?? part).toLowerCase()).join(" and ") : null;
  const nearby = el("div", { class: "detail-similar", hidden: true }, el("h3", {}, "Similar items"));
  body.replaceChildren(
    el("div", { class: "detail" },
      el("div", {}, picture(record), Object.keys(record.gates).length > 0 && gates(record.gates)),
      el("div", {},
        el("h2", { id: "detail-title" }, name(record)),
        el("p", { class: "badges" }, badge(record), modalities && el("span", { class: "quiet" }, `placed by ${modalities}`)),
        record.text && el("p", { class: "prose" }, record.text),
        record.picture_error && el("p", { class: "note" }, sentence(`the picture could not be used: ${record.picture_error}`)),
        record.error && record.status !== "retrievable" && el("p", { class: "problem" }, el("b", {}, "The last attempt failed"), sentence(record.error)),
        facts(record),
        journey(record))),
    nearby);
  if (record.status !== "retrievable") return;
  api.similar(record.item_id, 6).then(({ rows }) => api.describe(rows)).then((rows) => {
    nearby.append(strip(rows));
    nearby.hidden = rows.length === 0;
  }, (problem) => showProblem(nearby, problem));
}

document.addEventListener("open-item", async ({ detail: id }) => {
  try {
    show(await api.getItem(id));
  } catch (problem) {
    body.replaceChildren(el("h2", { id: "detail-title" }, "This item cannot be shown"), el("div"));
    showProblem(body.lastChild, problem);
  }
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
});
byId("detail-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
