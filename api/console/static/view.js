// Pieces that several sections show: pictures, badges, an item's journey, strips of items.
import { pictureOf } from "./api.js";
import { duration, el } from "./dom.js";

/** Show item `id` in the dialog; the dialog listens, so the pieces need not know it. */
export const open = (id) => document.dispatchEvent(new CustomEvent("open-item", { detail: id }));

/** A picture, or the title's first letter where there is none. */
export function picture(record, className = "") {
  const box = el("div", { class: `picture ${className}` });
  const blank = () => el("span", { class: "blank", "aria-hidden": "true" }, (record.title.match(/[\p{L}\p{N}]/u) ?? ["?"])[0]);
  if (!record.has_image) {
    box.append(blank());
    return box;
  }
  const image = el("img", { loading: "lazy", decoding: "async", alt: "", src: pictureOf(record.item_id, record.version) });
  image.addEventListener("error", () => image.replaceWith(blank()));
  box.append(image);
  return box;
}

export function badge(record) {
  if (record.status && record.status !== "retrievable") {
    return el("span", { class: `badge ${record.status}` }, record.status === "dead" ? "failed" : record.status);
  }
  return record.cold
    ? el("span", { class: "badge cold", title: "Nobody has clicked it: placed by its words and picture" }, "cold")
    : el("span", { class: "badge warm", title: "The recommender has learned it from clicks" }, "warm");
}

/** Price and category where the catalogue has them. */
export function byline({ attributes = {} }) {
  const price = typeof attributes.price === "number" ? attributes.price.toLocaleString("en", { minimumFractionDigits: 2 }) : attributes.price;
  const group = attributes.category ?? attributes.genre ?? attributes.brand;
  return [Array.isArray(group) ? group[0] : group, price].filter((part) => part !== undefined && part !== "").join(" · ");
}

const STEPS = [
  ["accepted_at", "Accepted"],
  ["claimed_at", "Picked up"],
  ["encoded_at", "Encoded"],
  ["retrievable_at", "Retrievable"],
];

/** The steps of an item with the server's own times. `from`: how many steps were on screen before. */
export function journey(record, from = STEPS.length) {
  const since = (key) => (record[key] === null || record[key] === undefined ? null : (record[key] - record.accepted_at) * 1000);
  const times = STEPS.map(([key]) => since(key));
  const [, claimed, encoded, retrievable] = times;
  const done = retrievable !== null;
  const steps = STEPS.map(([, name], index) => {
    const reached = times[index] !== null;
    const passed = reached && times[index + 1] !== null && times[index + 1] !== undefined;
    const row = el("li", { class: [reached && "reached", passed && "passed"].filter(Boolean).join(" ") }, name,
      el("span", {}, reached ? (index ? `+${duration(times[index])}` : "0 ms") : "…"));
    row.style.setProperty("--at", Math.max(0, index - from));
    return row;
  });
  const box = el("div", { class: `journey${done ? "" : " waiting"}` });
  if (done) box.append(el("p", { class: "headline" }, el("b", {}, duration(retrievable)), "to recommendable"));
  box.append(el("ol", { class: "steps", "aria-label": "Steps" }, steps));
  if (done && claimed !== null && encoded !== null) {
    const parts = [["wait", "waiting", claimed], ["encode", "encoding", encoded - claimed], ["index", "indexing", retrievable - encoded]];
    box.append(
      el("div", { class: "spans", "aria-hidden": "true" }, parts.map(([name, , ms]) => {
        const part = el("i", { class: name });
        part.style.flexGrow = Math.max(ms, 0);
        return part;
      })),
      el("p", { class: "key" }, parts.map(([name, word, ms]) => el("span", {}, el("i", { class: name }), `${word} ${duration(ms)}`))),
    );
  }
  return box;
}

/** How many of the steps are done. */
export const reached = (record) => STEPS.filter(([key]) => record[key] !== null && record[key] !== undefined).length;

/** A row of small items that open the dialog. */
export const strip = (records) => el("div", { class: "strip" }, records.map((record) =>
  el("button", { type: "button", onclick: () => open(record.item_id) }, picture(record), el("span", {}, record.title))));
