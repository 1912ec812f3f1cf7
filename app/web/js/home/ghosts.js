// The pictures of the draws: a large one, and all of them small, as a group of radio buttons.
import { imageDataOf } from "../decoding.js";
import { button, h } from "../dom.js";

/** Time that each picture of a new roll is shown before the next. */
const STEP_MS = 70;
/** How much of the pictures before is covered by the next one, so that they fade like ghosts. */
const COVER = 0.55;

const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Create the pictures. `choose(i)` is called when the user chooses one. Returns {large, small, draw, preview}. */
export function ghostPictures(count, choose) {
  const large = h("canvas", { class: "pixels made", role: "img", "data-result": true });
  const canvases = Array.from({ length: count }, () => h("canvas", { class: "pixels" }));
  const buttons = canvases.map((canvas, i) => button(canvas, () => choose(i), { class: "tile ghost", role: "radio", "aria-label": `Roll ${i + 1}` }));
  const small = h("div", { class: "ghosts", "data-result": true, role: "radiogroup", "aria-label": "The pictures of the ten rolls", onkeydown: move }, ...buttons);
  let run = 0;

  function move(event) {
    const at = buttons.indexOf(document.activeElement);
    const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: count - 1 }[event.key];
    if (next === undefined || at < 0) return;
    event.preventDefault();
    const target = (next + count) % count;
    buttons[target].focus();
    choose(target);
  }

  function resize(canvas, { width, height }) {
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
  }

  /** Show the pictures of a model. If `rolling`, the large one passes through all of them first. */
  function draw(pictures, model, chosen, rolling) {
    const mine = (run += 1);
    const images = pictures.map((picture) => imageDataOf(model, picture));
    canvases.forEach((canvas, i) => {
      resize(canvas, model);
      canvas.getContext("2d").putImageData(images[i], 0, 0);
      buttons[i].setAttribute("aria-checked", String(i === chosen));
      buttons[i].tabIndex = i === chosen ? 0 : -1;
    });
    resize(large, model);
    large.style.aspectRatio = `${model.width} / ${model.height}`;
    large.setAttribute("aria-label", `The picture that the decoder makes of roll ${chosen + 1}`);
    const brush = large.getContext("2d");
    const finish = () => {
      brush.globalAlpha = 1;
      brush.drawImage(canvases[chosen], 0, 0);
    };
    if (!rolling || isStill()) return finish();
    canvases.forEach((canvas, i) => setTimeout(() => {
      if (mine !== run) return;
      brush.globalAlpha = COVER;
      brush.drawImage(canvas, 0, 0);
      if (i === count - 1) setTimeout(() => mine === run && finish(), STEP_MS);
    }, i * STEP_MS));
    return undefined;
  }

  /** Show one picture before there are draws. */
  function preview(bitmap, model) {
    run += 1;
    resize(large, model);
    large.style.aspectRatio = `${model.width} / ${model.height}`;
    large.setAttribute("aria-label", "The reconstruction of the image");
    large.getContext("2d").drawImage(bitmap, 0, 0);
  }

  return { large, small, draw, preview };
}
