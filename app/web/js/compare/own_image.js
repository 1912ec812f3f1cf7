// The image of the user that versions are compared on: drawn here, chosen as a file, or taken from Draw.
import { drawingCanvas } from "../canvas.js";
import { sameBytes } from "../codec.js";
import { button, h } from "../dom.js";
import { bitmapOf } from "../pictures.js";

/**
 * Create the controls of the image. `changed(png)` is called with a prepared image, or with null to
 * start again. Returns {element, show(png)}.
 */
export function ownImage({ store, guard, prepare }, changed) {
  let shown = null;
  const pad = h("canvas", { class: "own-pad", role: "img", "aria-label": "Canvas for drawing with a pointer. Without a pointer, choose a file, or take the image from Draw" });
  const hint = h("p", { class: "pad-hint" }, "Draw here");
  const canvas = drawingCanvas(pad, (done) => {
    hint.hidden = true;
    if (done) guard(async () => keep(await canvas.blob()));
  });
  const chooser = h("input", { type: "file", accept: "image/*", class: "off-screen", tabindex: "-1", "aria-label": "Image file to compare on", onchange: () => {
    const [file] = chooser.files;
    chooser.value = "";
    if (file) take(file);
  } });
  const fromDraw = button("Take from Draw", () => changed(store.state.values.draw.image), { title: "Use the image of the part Draw" });
  const element = h("div", { class: "own-image" }, h("div", { class: "pad-frame" }, pad, hint),
    h("div", { class: "row" }, button("Clear", () => changed(null)), button("Choose a file", () => chooser.click()), chooser, fromDraw));
  element.addEventListener("drop", (event) => {
    const [file] = event.dataTransfer.files;
    if (!file) return;
    event.preventDefault();
    event.stopPropagation();
    document.documentElement.classList.remove("dropping");
    take(file);
  });

  /** Keep the strokes on the canvas, and compare on the prepared image. */
  async function keep(blob) {
    const png = await prepare(blob);
    shown = png;
    changed(png);
  }

  const take = (file) => guard(async () => changed(await prepare(file)));

  return {
    element,
    async show(png) {
      fromDraw.disabled = !store.state.values.draw.image;
      hint.hidden = Boolean(png);
      if (sameBytes(png, shown)) return;
      shown = png;
      canvas.load(png && (await bitmapOf(png)));
    },
  };
}
