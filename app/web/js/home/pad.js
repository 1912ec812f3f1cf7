// The pad of the diagram: the image that the encoder sees. It is drawn, or chosen as a file.
import { askJson } from "../api.js";
import { drawingCanvas } from "../canvas.js";
import { button, h } from "../dom.js";
import { oneAtATime } from "../live.js";
import { pngBytes } from "../pictures.js";

/**
 * Create the pad. Returns {element, buttons, arrange, load, stop}.
 *
 * `seen(image, done)` is called with what the encoder sees of a drawing, the entry of /reconstruct with
 * `png`: while the user draws, and with `done` true at the end of each stroke. `cleared()` is called
 * when the user clears the pad, and `opened(file)` when a file is chosen.
 */
export function drawingPad({ seen, cleared, opened, guard }) {
  let model = null;
  let isStart = false;

  const surface = h("canvas", { class: "pad", role: "img" });
  const hint = h("p", { class: "pad-hint", hidden: true });
  const note = h("p", { class: "pad-note", role: "status" });
  const canvas = drawingCanvas(surface, (done) => {
    hint.hidden = true;
    guard(() => follow(done));
  });
  const chooser = h("input", { type: "file", accept: "image/*", class: "off-screen", tabindex: "-1", "aria-label": "Image file", onchange: () => {
    const [file] = chooser.files;
    chooser.value = "";
    if (file) guard(() => opened(file));
  } });
  const frame = h("div", { class: "pad-frame" }, surface, hint, note);
  const isDrawable = () => model?.channels === 1;
  // The first stroke replaces the image that the pad begins with.
  frame.addEventListener("pointerdown", (event) => isStart && isDrawable() && event.button === 0 && load(null, false), { capture: true });
  frame.addEventListener("click", () => isDrawable() || chooser.click());
  const clear = button("Clear", () => {
    follow.drop();
    load(null, false);
    cleared();
  });
  const buttons = h("div", { class: "row" }, clear,
    button("Choose a file", () => chooser.click()), chooser);

  /** Let the service prepare and encode the drawing. An error of an unfinished stroke is shown on the pad. */
  const follow = oneAtATime(async (done, signal) => {
    try {
      const images = { image: new Uint8Array(await (await canvas.blob()).arrayBuffer()) };
      const answer = await askJson({ path: "reconstruct", query: { model: model.ref }, images }, { signal });
      note.textContent = "";
      const [image] = answer.images;
      await seen({ ...image, png: pngBytes(image.input) }, done);
    } catch (error) {
      if (signal.aborted) throw error;
      note.textContent = [error.message, error.remedy && `What to do: ${error.remedy}.`].filter(Boolean).join(" ");
    }
  });

  /** Show an image, or nothing. `start` is true for the image that the diagram begins with. */
  function load(bitmap, start) {
    canvas.load(bitmap);
    isStart = start;
    hint.hidden = !!bitmap;
    note.textContent = "";
  }

  function arrange(selected) {
    model = selected;
    const drawable = isDrawable();
    frame.classList.toggle("upload", !drawable);
    clear.hidden = !drawable;
    surface.setAttribute("aria-label", drawable ? "Pad for drawing with a pointer. Without a pointer, choose a file" : "The image that the encoder sees");
    hint.textContent = drawable ? "Draw here" : "Choose, drop or paste an image";
  }

  return { element: frame, buttons, arrange, load, stop: () => follow.drop() };
}
