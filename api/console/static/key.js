// The API key, where the service asks for one: typed once, kept by this tab alone.
import { byId, showProblem } from "./dom.js";

const STORED = "coldstart-key";
const dialog = byId("key");
const field = byId("key-value");
const REFUSED = { title: "The service does not take this key", detail: "it is unknown or revoked" };
let asking = null;

/** The key in use; `null` where none was needed yet. */
export const currentKey = () => sessionStorage.getItem(STORED);

/** Ask the reader for a key; whether they gave one. Whoever asks meanwhile gets the same answer. */
export function askForKey() {
  asking ??= new Promise((resolve) => {
    showProblem(byId("key-problem"), currentKey() ? REFUSED : null);
    field.value = dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      asking = null;
      if (dialog.returnValue) sessionStorage.setItem(STORED, dialog.returnValue);
      resolve(Boolean(dialog.returnValue));
      document.dispatchEvent(new Event("counts"));
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  dialog.close(field.value);
});
