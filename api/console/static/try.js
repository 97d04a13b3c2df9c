// Ask for recommendations as three kinds of user, and show what answered.
import * as api from "./api.js";
import { picks, togglePick } from "./catalogue.js";
import { byId, duration, el, sampleUsers, sentence, showProblem } from "./dom.js";
import { posted } from "./post.js";
import { badge, name, open, picture } from "./view.js";

const LIST_LENGTH = 12;
const form = byId("try-form");
const live = byId("try-live");

const kind = () => form.elements.kind.value;

function query() {
  switch (kind()) {
    case "known": return byId("try-user").value.trim() && { user_id: byId("try-user").value.trim() };
    case "clicked": return picks.size > 0 && { clicked: [...picks.keys()] };
    default: return byId("try-sentence").value.trim() && { preferences: byId("try-sentence").value.trim() };
  }
}

const MISSING = {
  known: { title: "Which user?", detail: "Type an id or choose one below the field" },
  clicked: { title: "Nothing is chosen yet", detail: "Choose at least one item with the + on its card" },
  sentence: { title: "What would they like?", detail: "Describe it in a few words" },
};

function row(found, rank) {
  const yours = posted.has(found.item_id);
  return el("li", { class: yours ? "yours" : "" },
    el("span", { class: "rank" }, String(rank)),
    picture(found, "thumb"),
    el("div", {},
      el("button", { type: "button", class: "card-open", onclick: () => open(found.item_id) }, name(found)),
      found.reason && el("p", {}, sentence(found.reason))),
    el("div", { class: "badges" }, yours && el("span", { class: "badge yours" }, "yours"), badge(found)));
}

let latest = 0;

async function submit(event) {
  event?.preventDefault();
  const turn = ++latest;
  const asked = query();
  showProblem(byId("try-problem"), asked ? null : MISSING[kind()]);
  if (!asked) {
    byId("try-result").replaceChildren(); // a list that is still there would look like the answer
    return;
  }
  try {
    const started = performance.now();
    const answer = await api.recommend({ ...asked, limit: LIST_LENGTH });
    const took = performance.now() - started;
    const rows = await api.describe(answer.rows);
    if (turn !== latest) return; // asked again meanwhile
    byId("try-result").replaceChildren(el("section", { class: "answer" },
      el("p", {}, "Answered from ", el("b", {}, answer.strategy.replaceAll("+", " + ")), ` in ${duration(took)}`),
      asked.user_id && answer.strategy === "popular" &&
        el("p", { class: "note" }, "Nothing is known of this user: this is what is popular and what is new."),
      answer.degraded && el("p", { class: "note" }, "A part of the question went unused: what it needs did not answer."),
      answer.ignored.length > 0 && el("p", { class: "note" }, `Not retrievable, so unused: ${answer.ignored.join(", ")}.`),
      el("ol", { class: "ranked" }, rows.map((found, index) => row(found, index + 1)))));
    live.textContent = `${rows.length} recommendations, answered from ${answer.strategy}.`;
  } catch (problem) {
    byId("try-result").replaceChildren();
    showProblem(byId("try-problem"), problem);
  }
}

function showKind() {
  for (const field of form.querySelectorAll("[data-kind]")) field.hidden = field.dataset.kind !== kind();
  showProblem(byId("try-problem"), null);
  showPicks();
}

function chip(record) {
  const remove = () => togglePick(record);
  return el("li", { class: "chip" }, picture(record, "thumb"), el("span", {}, name(record)),
    el("button", { type: "button", class: "remove", "aria-label": `Remove ${name(record)}`, onclick: remove }, "×"));
}

/** Cards carry their + only while clicks are being chosen. */
export function showPicks() {
  const { view } = document.body.dataset;
  const picking = kind() === "clicked" && view !== "post";
  document.body.toggleAttribute("data-picking", picking);
  byId("picked").replaceChildren(...[...picks.values()].map(chip));
  byId("pickbar").hidden = !picking || view !== "browse" || picks.size === 0;
  byId("pickbar-count").textContent = `${picks.size} chosen`;
}

function tryUser(user) {
  form.elements.kind.value = "known";
  byId("try-user").value = user;
  showKind();
  submit();
}

form.addEventListener("submit", submit);
form.addEventListener("change", (event) => event.target.name === "kind" && showKind());
document.addEventListener("picks", showPicks);
document.addEventListener("try-user", ({ detail: user }) => {
  byId("nav-try").click();
  tryUser(user);
});
byId("try-user").value = sampleUsers[0] ?? "";
byId("try-users").append(...sampleUsers.map((user) => el("option", { value: user })));
byId("user-chips").append(...sampleUsers.slice(0, 4).map((user) =>
  el("button", { type: "button", class: "chip", onclick: () => tryUser(user) }, el("span", {}, user))));
showKind();
