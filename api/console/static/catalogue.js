// The catalogue as a grid of cards, newest first.
import * as api from "./api.js";
import { byId, el, showProblem } from "./dom.js";
import { badge, byline, name, open, picture } from "./view.js";

const PAGE = 48;
const grid = byId("grid");
const more = byId("more");
const shown = new Set();
let offset = 0;
let loading = false;

/** Items chosen as clicks: id -> record, in the order they were chosen. */
export const picks = new Map();

export function togglePick(record) {
  if (!picks.delete(record.item_id)) picks.set(record.item_id, record);
  for (const button of grid.querySelectorAll(".pick")) pressed(button, picks.has(button.dataset.id));
  document.dispatchEvent(new Event("picks"));
}

function pressed(button, on) {
  button.setAttribute("aria-pressed", on);
  button.textContent = on ? "✓" : "+";
}

function card(record, className = "") {
  const pick = el("button", {
    type: "button",
    class: "icon-button pick",
    "aria-label": `Clicked: ${name(record)}`,
    onclick: () => togglePick(record),
  });
  pick.dataset.id = record.item_id;
  pressed(pick, picks.has(record.item_id));
  const title = el("button", { type: "button", class: "card-open", onclick: () => open(record.item_id) }, name(record));
  const text = el("div", { class: "card-body" }, el("h3", {}, title), el("div", { class: "card-foot" }, byline(record)));
  const node = el("li", { class: `card ${className}` }, picture(record), badge(record), text, pick);
  node.dataset.id = record.item_id;
  return node;
}

/** Load the next page; returns its cards. */
export async function loadMore() {
  if (loading) return [];
  loading = true;
  try {
    const { items } = await api.listItems(PAGE, offset);
    showProblem(byId("catalogue-problem"), null);
    offset += items.length;
    const fresh = items.filter((record) => record.status !== "deleted" && !shown.has(record.item_id));
    for (const record of fresh) shown.add(record.item_id);
    const cards = fresh.map((record) => card(record));
    grid.append(...cards);
    more.hidden = items.length < PAGE;
    byId("catalogue-empty").hidden = shown.size > 0;
    return cards;
  } catch (problem) {
    showProblem(byId("catalogue-problem"), problem);
    more.hidden = false;
    return [];
  } finally {
    loading = false;
    grid.removeAttribute("aria-busy");
    for (const skeleton of grid.querySelectorAll(".skeleton")) skeleton.remove();
  }
}

/** Put a newly posted item first, in place of an earlier card of the same id. */
export function showFirst(record) {
  grid.querySelector(`[data-id="${CSS.escape(record.item_id)}"].card`)?.remove();
  if (!shown.has(record.item_id)) offset += 1;
  shown.add(record.item_id);
  byId("catalogue-empty").hidden = true;
  grid.prepend(card(record, "fresh"));
}

more.addEventListener("click", async () => {
  const [first] = await loadMore();
  first?.querySelector(".card-open").focus();
});
