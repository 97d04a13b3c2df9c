// One item in a dialog: what it is, how it got here, what the adapter used, what is near it.
import * as api from "./api.js";
import { byId, el, sentence, showProblem } from "./dom.js";
import { badge, journey, name, picture, strip } from "./view.js";

const dialog = byId("detail");
const body = byId("detail-body");
const NAMES = { text: "Words", image: "Picture" };

function gate(part, weight) {
  const bar = el("i");
  bar.style.width = `${Math.min(Math.max(weight, 0), 1) * 100}%`;
  return el("div", { class: `gate ${part}` },
    NAMES[part] ?? part,
    el("div", { class: "bar", "aria-hidden": "true" }, bar),
    el("span", { class: "number" }, `${Math.round(weight * 100)} %`));
}

function gates(weights) {
  const rows = Object.entries(weights).map(([part, weight]) => gate(part, weight));
  return rows.length > 0 && el("div", { class: "gates", role: "group", "aria-label": "What the adapter listens to" }, rows);
}

function facts(record) {
  const rows = [...Object.entries(record.attributes), ["id", record.item_id]];
  const shown = (value) => (Array.isArray(value) ? value.join(", ") : String(value));
  return el("dl", { class: "facts" }, rows.map(([key, value]) => [el("dt", {}, key), el("dd", {}, shown(value))]));
}

/** What kept the item or its picture from being used. */
function troubles(record) {
  return [
    record.picture_error && el("p", { class: "note" }, sentence(`the picture could not be used: ${record.picture_error}`)),
    record.error && record.status !== "retrievable"
      && el("p", { class: "problem" }, el("b", {}, "The last attempt failed"), sentence(record.error)),
  ];
}

async function showSimilar(place, id) {
  try {
    const { rows } = await api.similar(id, 6);
    place.hidden = rows.length === 0;
    place.append(strip(await api.describe(rows)));
  } catch (problem) {
    showProblem(place, problem);
  }
}

function show(record) {
  const parts = record.modalities.map((part) => (NAMES[part] ?? part).toLowerCase()).join(" and ");
  const near = el("div", { class: "detail-similar", hidden: true }, el("h3", {}, "Similar items"));
  body.replaceChildren(
    el("div", { class: "detail" },
      el("div", {}, picture(record), gates(record.gates)),
      el("div", {},
        el("h2", { id: "detail-title" }, name(record)),
        el("p", { class: "badges" }, badge(record), parts && el("span", { class: "quiet" }, `placed by ${parts}`)),
        record.text && el("p", { class: "prose" }, record.text),
        troubles(record),
        facts(record),
        journey(record))),
    near);
  if (record.status === "retrievable") showSimilar(near, record.item_id);
}

document.addEventListener("open-item", async ({ detail: id }) => {
  try {
    show(await api.getItem(id));
  } catch (problem) {
    const place = el("div");
    body.replaceChildren(el("h2", { id: "detail-title" }, "This item cannot be shown"), place);
    showProblem(place, problem);
  }
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
});
byId("detail-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
