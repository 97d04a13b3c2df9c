// Post an item, follow it until it can be recommended, then show who gets it.
import * as api from "./api.js";
import { showFirst } from "./catalogue.js";
import { byId, duration, el, plural, sentence, showProblem, wait } from "./dom.js";
import { journey, name, picture, reached, strip, timeToRecommendable } from "./view.js";

const LIST_LENGTH = 20;
const PATIENCE_MS = 60_000;
const form = byId("post-form");
const file = byId("post-picture");
const preview = byId("preview");
const live = byId("post-live");
const result = byId("post-result");

/** Ids posted from this page: lists mark them. */
export const posted = new Set();

function addAttribute(key = "") {
  const row = el("div", { class: "pair" },
    el("input", { "aria-label": "Attribute name", value: key, placeholder: "name", autocomplete: "off" }),
    el("input", { "aria-label": "Attribute value", placeholder: "value", autocomplete: "off" }),
    el("button", { type: "button", class: "icon-button", "aria-label": "Remove this attribute", onclick: () => {
      row.remove();
      byId("attribute-add").focus();
    } }, "×"));
  byId("attributes").append(row);
  return row;
}

function attributes() {
  const pairs = [...byId("attributes").children].map((row) => [...row.querySelectorAll("input")].map((input) => input.value.trim()));
  return Object.fromEntries(pairs.filter(([key, value]) => key && value)
    .map(([key, value]) => [key, /^-?(0|[1-9]\d*)(\.\d+)?$/.test(value) ? Number(value) : value]));
}

function clearPicture() {
  file.value = "";
  showPicture();
}

/** The preview is drawn on a canvas: no blob: or data: address has to be allowed as a picture source. */
async function showPicture() {
  const chosen = file.files[0];
  preview.hidden = byId("picture-clear").hidden = !chosen;
  byId("post-picture-hint").hidden = Boolean(chosen);
  if (!chosen) return;
  const pen = preview.getContext("2d");
  pen.clearRect(0, 0, preview.width, preview.height);
  try {
    const image = await createImageBitmap(chosen);
    const scale = Math.max(preview.width / image.width, preview.height / image.height);
    const [width, height] = [image.width * scale, image.height * scale];
    pen.drawImage(image, (preview.width - width) / 2, (preview.height - height) / 2, width, height);
  } catch {
    // The service says what is wrong with a picture it cannot read; the item is posted all the same.
  }
}

const dataUrl = (blob) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(new api.Problem({ title: "The picture could not be read", remedy: "Choose the file again." }));
  reader.readAsDataURL(blob);
});

async function follow(id) {
  const deadline = performance.now() + PATIENCE_MS;
  let seen = 0;
  for (;;) {
    const record = await api.getItem(id);
    const now = reached(record);
    if (now !== seen) {
      result.querySelector(".journey")?.remove();
      result.prepend(journey(record, seen));
      if (seen === 0) result.scrollIntoView({ block: "nearest" });
      seen = now;
    }
    if (record.status === "retrievable") {
      live.textContent = `Accepted, encoded and retrievable after ${duration(timeToRecommendable(record))}.`;
      return record;
    }
    if (record.status === "dead") {
      throw new api.Problem({ title: "The item could not be encoded", detail: record.error ?? "", remedy: "It is kept among the dead letters and can be retried." });
    }
    if (performance.now() > deadline) {
      throw new api.Problem({ title: "Still waiting", detail: "The item is safe, but no worker has encoded it within a minute.", remedy: "Check that a worker runs." });
    }
    await wait(performance.now() > deadline - PATIENCE_MS + 2000 ? 300 : 20);
  }
}

async function whoGetsIt(record) {
  const users = JSON.parse(form.dataset.users);
  const near = el("section", { class: "after" }, el("h3", {}, "Close to it"));
  const who = el("section", { class: "after" }, el("h3", {}, "Who gets it"));
  const { rows } = await api.similar(record.item_id, 4);
  if (rows.length) {
    near.append(strip(await api.describe(rows)));
    result.append(near);
  }
  if (users.length === 0) return;
  result.append(who);
  const lists = await Promise.all(users.map((user) => api.recommend({ user_id: user, limit: LIST_LENGTH })));
  const hits = lists.map(({ rows: list }, index) => [users[index], list.findIndex((row) => row.item_id === record.item_id)])
    .filter(([, rank]) => rank >= 0).sort((one, other) => one[1] - other[1]);
  who.append(
    el("p", {}, hits.length
      ? `${hits.length} of ${plural(users.length, "sampled user")} have it among their first ${LIST_LENGTH}:`
      : `None of ${plural(users.length, "sampled user")} has it among their first ${LIST_LENGTH}.`),
    el("div", { class: "chips" }, hits.slice(0, 8).map(([user, rank]) => el("button", { type: "button", class: "chip",
      onclick: () => document.dispatchEvent(new CustomEvent("try-user", { detail: user })) },
    el("span", {}, user), el("span", { class: "number" }, `no. ${rank + 1}`)))));
}

let busy = false;

function setBusy(on) {
  busy = on;
  byId("post-submit").setAttribute("aria-disabled", on); // a disabled button would lose the focus
}

async function submit(event) {
  event.preventDefault();
  if (busy) return;
  const title = byId("post-name");
  title.removeAttribute("aria-invalid");
  showProblem(byId("post-problem"), null);
  if (!title.value.trim()) {
    title.setAttribute("aria-invalid", "true");
    showProblem(byId("post-problem"), { title: "The item needs a title", detail: "Type one, then post again" });
    title.focus();
    return;
  }
  setBusy(true);
  result.replaceChildren();
  live.textContent = "Posting.";
  try {
    const id = byId("post-id").value.trim() || `item-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
    const chosen = file.files[0];
    await api.putItem(id, { title: title.value.trim(), text: byId("post-text").value.trim(), attributes: attributes(),
      ...(chosen && { image: await dataUrl(chosen) }) });
    const record = await follow(id);
    posted.add(id);
    showFirst(record);
    document.dispatchEvent(new Event("counts"));
    form.reset();
    clearPicture();
    result.querySelector(".journey").prepend(el("div", { class: "arrived" }, picture(record, "thumb"), el("b", {}, name(record))));
    if (record.picture_error) result.append(el("p", { class: "note" }, "Placed by its words alone. ", sentence(`the picture could not be used: ${record.picture_error}`)));
    await whoGetsIt(record);
  } catch (problem) {
    live.textContent = "";
    showProblem(byId("post-problem"), problem);
  } finally {
    setBusy(false);
  }
}

form.addEventListener("submit", submit);
file.addEventListener("change", showPicture);
byId("picture-clear").addEventListener("click", () => {
  clearPicture();
  file.focus();
});
byId("attribute-add").addEventListener("click", () => addAttribute().querySelector("input").focus());
for (const [type, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  byId("drop").addEventListener(type, () => byId("drop").classList.toggle("over", over));
}
addAttribute("category");
addAttribute("price");
