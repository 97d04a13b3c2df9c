// The only way this page makes elements. Strings become text nodes or attributes, never markup, so a title that
// looks like a script is shown as what it is.

/** Make an element. Functions are listeners, `true` is an empty attribute, `false` and nothing leave an attribute out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child || child === 0));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Ids of a few users that the recommender knows. */
export const sampleUsers = JSON.parse(byId("main").dataset.users);

/** A clause as a sentence. */
export const sentence = (clause) => clause.charAt(0).toUpperCase() + clause.slice(1).replace(/[.\s]*$/, ".");

/** Show a problem document as plain sentences, or clear the place with `null`. */
export function showProblem(place, problem) {
  place.replaceChildren();
  if (!problem) return;
  const what = problem.subject ? `${problem.subject}: ${problem.detail}` : problem.detail;
  const sentences = [what, problem.remedy].filter(Boolean).map(sentence);
  place.append(el("div", { class: "problem" }, el("b", {}, problem.title), sentences.join(" ")));
}

/** Milliseconds as people read them: 48 ms, 1.2 s. */
export function duration(ms) {
  return ms < 1000 ? `${Math.max(0, Math.round(ms))} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

export const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
