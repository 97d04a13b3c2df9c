// Pieces that several sections show: pictures, badges, an item's journey, strips of items.
import { pictureBytes, pictureOf } from "./api.js";
import { duration, el } from "./dom.js";
import { currentKey } from "./key.js";

const DRAWN_WIDTH = 480;

/** Show item `id` in the dialog; the dialog listens, so the pieces need not know it. */
export const open = (id) => document.dispatchEvent(new CustomEvent("open-item", { detail: id }));

/** What to call an item: one that only the recommender knows has no title. */
export const name = (record) => record.title || record.item_id;

/** A picture that takes a key, which an <img> cannot send; on a canvas, so that the policy need not allow blob:. */
function drawn(address) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const draw = async () => {
    const bitmap = await createImageBitmap(await pictureBytes(address), { resizeWidth: DRAWN_WIDTH });
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);
  };
  draw().catch(() => canvas.dispatchEvent(new Event("error")));
  return canvas;
}

/** A picture, or the title's first letter where there is none. */
export function picture(record, className = "") {
  const box = el("div", { class: `picture ${className}` });
  const [letter] = name(record).match(/[\p{L}\p{N}]/u) ?? ["?"];
  const blank = () => el("span", { class: "blank", "aria-hidden": "true" }, letter);
  if (!record.has_image) {
    box.append(blank());
    return box;
  }
  const address = pictureOf(record.item_id, record.version);
  const image = currentKey() ? drawn(address) : el("img", { loading: "lazy", decoding: "async", alt: "", src: address });
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

/** Category and price where the catalogue has them, as it calls them. */
export function byline({ attributes }) {
  const [group] = [attributes.category ?? attributes.genre ?? ""].flat();
  const price = attributes.price ?? "";
  const shown = typeof price === "number" ? price.toLocaleString("en", { minimumFractionDigits: 2 }) : price;
  return [el("span", {}, String(group)), el("span", { class: "number" }, String(shown))];
}

const STEPS = [["claimed", "Picked up"], ["encoded", "Encoded"], ["retrievable", "Retrievable"]];

const isTime = (value) => typeof value === "number";

/** Milliseconds from accepted to recommendable; `null` while on its way, and for what came in ready encoded. */
export function timeToRecommendable({ since_accepted_ms: since }) {
  return isTime(since.claimed) ? since.retrievable : null;
}

/** The steps of an item with the server's own times. `from`: how many steps were on screen before. */
export function journey(record, from = STEPS.length + 1) {
  const since = record.since_accepted_ms;
  const times = [0, ...STEPS.map(([key]) => since[key])];
  const last = times.findLastIndex(isTime);
  const steps = ["Accepted", ...STEPS.map(([, title]) => title)].map((title, index) => {
    const time = times[index];
    const label = isTime(time) ? `${index ? "+" : ""}${duration(time)}` : index < last ? "–" : "…";
    const state = [isTime(time) && "reached", index < last && "passed"].filter(Boolean).join(" ");
    const step = el("li", { class: state }, title, el("span", {}, label));
    step.style.setProperty("--at", Math.max(0, index - from));
    return step;
  });
  const total = timeToRecommendable(record);
  const box = el("div", { class: `journey ${["pending", "encoding"].includes(record.status) ? "waiting" : ""}` });
  if (total !== null) box.append(el("p", { class: "headline" }, el("b", {}, duration(total)), "to recommendable"));
  box.append(el("ol", { class: "steps", "aria-label": "Steps" }, steps));
  if (total !== null) {
    const { claimed, encoded } = since;
    const parts = [["wait", "waiting", claimed], ["encode", "encoding", encoded - claimed],
      ["index", "indexing", total - encoded]];
    const bar = parts.map(([kind, , ms]) => {
      const part = el("i", { class: kind });
      part.style.flexGrow = Math.max(ms, 0);
      return part;
    });
    box.append(
      el("div", { class: "spans", "aria-hidden": "true" }, bar),
      el("p", { class: "key" }, parts.map(([kind, word, ms]) =>
        el("span", {}, el("i", { class: kind }), `${word} ${duration(ms)}`))),
    );
  }
  return box;
}

/** How many of the steps are done. */
export const reached = ({ since_accepted_ms: since }) => 1 + STEPS.filter(([key]) => isTime(since[key])).length;

/** A row of small items that open the dialog. */
export const strip = (records) => el("div", { class: "strip" }, records.map((record) =>
  el("button", { type: "button", onclick: () => open(record.item_id) }, picture(record), el("span", {}, name(record)))));
