// Who gets a new item: what it is close to, and which of some known users have it in their lists.
import * as api from "./api.js";
import { el, plural } from "./dom.js";
import { strip } from "./view.js";

const LIST_LENGTH = 20;
const SHOWN = 8;

const section = (title, ...content) => el("section", { class: "after" }, el("h3", {}, title), content);

/** A user who has the item, at a place in their list; choosing one asks for that list. */
function chip({ user, place }) {
  const choose = () => document.dispatchEvent(new CustomEvent("try-user", { detail: user }));
  return el("button", { type: "button", class: "chip", onclick: choose },
    el("span", {}, user), el("span", { class: "number" }, `no. ${place + 1}`));
}

/** Sections about the item, as they become known. */
export async function* audience(id, users) {
  const { rows } = await api.similar(id, 4);
  if (rows.length > 0) yield section("Close to it", strip(await api.describe(rows)));
  if (users.length === 0) return;
  const found = await Promise.all(users.map(async (user) => {
    const list = await api.recommend({ user_id: user, limit: LIST_LENGTH });
    return { user, place: list.rows.findIndex((row) => row.item_id === id) };
  }));
  const having = found.filter(({ place }) => place >= 0).sort((one, other) => one.place - other.place);
  const asked = plural(users.length, "sampled user");
  const verb = having.length > 1 ? "have" : "has";
  const summary = `${having.length || "None"} of ${asked} ${verb} it among the first ${LIST_LENGTH}.`;
  yield section("Who gets it", el("p", {}, summary), el("div", { class: "chips" }, having.slice(0, SHOWN).map(chip)));
}
