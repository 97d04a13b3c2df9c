// The picture of the form: chosen or dropped, shown, sent as a data: URL.
import { Problem } from "./api.js";
import { byId } from "./dom.js";

const field = byId("post-picture");
const preview = byId("preview");

/** The chosen picture as a data: URL; `undefined` where there is none. */
export function chosenPicture() {
  const [file] = field.files;
  if (!file) return undefined;
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    const problem = new Problem({ title: "The picture could not be read", remedy: "Choose the file again" });
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(problem);
    reader.readAsDataURL(file);
  });
}

export function clearPicture() {
  field.value = "";
  showPicture();
}

/** Drawn on a canvas, so that the page's policy need not allow blob: or data: pictures. */
async function showPicture() {
  const [file] = field.files;
  preview.hidden = byId("picture-clear").hidden = !file;
  byId("post-picture-hint").hidden = Boolean(file);
  if (!file) return;
  const pen = preview.getContext("2d");
  pen.clearRect(0, 0, preview.width, preview.height);
  try {
    const image = await createImageBitmap(file);
    const scale = Math.max(preview.width / image.width, preview.height / image.height);
    const [width, height] = [image.width * scale, image.height * scale];
    pen.drawImage(image, (preview.width - width) / 2, (preview.height - height) / 2, width, height);
  } catch {
    // Not a picture that a browser can read: the item is posted all the same, and the service says what is wrong.
  }
}

field.addEventListener("change", showPicture);
byId("picture-clear").addEventListener("click", () => {
  clearPicture();
  field.focus();
});
// The field covers its frame, so that a drop lands on it; the frame only shows that it would.
for (const [type, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  byId("drop").addEventListener(type, () => byId("drop").classList.toggle("over", over));
}
