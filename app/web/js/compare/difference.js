// The difference between two images, with a gain that makes small differences visible.
import { h } from "../dom.js";

/** RGB of a place that is brighter in the second image, and of one that is darker. */
const BRIGHTER = [255, 140, 60];
const DARKER = [80, 150, 255];

/** Return the change of each pixel from `a` to `b` (ImageData of one size), averaged over the colour channels, in [-1, 1]. */
export function changes(a, b) {
  return Float32Array.from({ length: a.width * a.height }, (_, i) => {
    let sum = 0;
    for (let channel = 4 * i; channel < 4 * i + 3; channel += 1) sum += b.data[channel] - a.data[channel];
    return sum / 765;
  });
}

/** Return a canvas that shows changes times a gain: orange if the second image is brighter, blue if it is darker. */
export function differenceCanvas(change, { width, height }, gain, label) {
  const canvas = h("canvas", { class: "pixels", width, height, role: "img", "aria-label": label });
  const brush = canvas.getContext("2d");
  const shown = brush.createImageData(width, height);
  change.forEach((value, i) => {
    const strength = Math.min(1, gain * Math.abs(value));
    shown.data.set([...(value > 0 ? BRIGHTER : DARKER).map((level) => level * strength), 255], 4 * i);
  });
  brush.putImageData(shown, 0, 0);
  return canvas;
}

/** Return how large the changes are, in words: the mean of their absolute values in percent of the full range. */
export function inWords(change) {
  const mean = change.reduce((sum, value) => sum + Math.abs(value), 0) / change.length;
  return mean === 0 ? "no difference" : `${(100 * mean).toFixed(mean < 0.001 ? 3 : 1)} %`;
}
