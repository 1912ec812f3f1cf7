// Two pictures on top of each other, and a line between them that is moved with the pointer or a slider.
import { h } from "../dom.js";

/**
 * Create a wipe. `changed(share)` is called when the user has moved the line; `share` is how much of
 * the width shows the first picture, from 0 to 1. Returns {element, show([a, b], names, share)}, in
 * which a and b are canvases of the same proportions.
 */
export function wipe(changed) {
  const under = h("div", { class: "wipe-under" });
  const over = h("div", { class: "wipe-over" });
  const line = h("span", { class: "wipe-line", "aria-hidden": "true" });
  const labels = [h("span", { class: "wipe-name" }), h("span", { class: "wipe-name" })];
  const pictures = h("div", { class: "wipe-pictures" }, under, over, line);
  const slider = h("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": "Position of the wipe", oninput: () => move(Number(slider.value)), onchange: () => changed(Number(slider.value)) });
  const element = h("div", { class: "wipe" }, h("div", { class: "wipe-names" }, ...labels), pictures, slider);
  let names = ["", ""];

  function move(share) {
    slider.value = share;
    slider.setAttribute("aria-valuetext", `${Math.round(100 * share)} % ${names[0]}, ${Math.round(100 * (1 - share))} % ${names[1]}`);
    over.style.clipPath = `inset(0 ${100 * (1 - share)}% 0 0)`;
    line.style.left = `${100 * share}%`;
  }

  const shareOf = ({ clientX }) => {
    const { left, width } = pictures.getBoundingClientRect();
    return Math.round(100 * Math.min(Math.max((clientX - left) / width, 0), 1)) / 100;
  };
  let pressed = false;
  pictures.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    pressed = true;
    pictures.setPointerCapture(event.pointerId);
    move(shareOf(event));
  });
  pictures.addEventListener("pointermove", (event) => pressed && move(shareOf(event)));
  const release = () => {
    if (pressed) changed(Number(slider.value));
    pressed = false;
  };
  pictures.addEventListener("pointerup", release);
  pictures.addEventListener("pointercancel", release);

  return {
    element,
    show([a, b], both, share) {
      names = both;
      labels.forEach((label, i) => (label.textContent = both[i]));
      over.replaceChildren(a);
      under.replaceChildren(b);
      if (!pressed) move(share);
    },
  };
}

/** Pixels between the images of a sheet, in the images' own pixels. */
const GAP = 2;

/** Return one canvas with images (ImageData of one size) in a grid that is `across` images wide. */
export function sheetOf(images, across, label) {
  const [{ width, height }] = images;
  const canvas = h("canvas", {
    class: "pixels", role: "img", "aria-label": label,
    width: across * (width + GAP) - GAP, height: Math.ceil(images.length / across) * (height + GAP) - GAP,
  });
  const brush = canvas.getContext("2d");
  images.forEach((image, i) => brush.putImageData(image, (i % across) * (width + GAP), Math.floor(i / across) * (height + GAP)));
  return canvas;
}
