// Conversion between PNGs and pixels.
import { Problem } from "./api.js";
import { fromBase64 } from "./codec.js";

/** Return a data: address for a PNG in base64. */
export const dataAddress = (base64) => `data:image/png;base64,${base64}`;
/** Return the bytes of a PNG in base64. */
export const pngBytes = (base64) => fromBase64(base64);

/** Decode the bytes of an image file. Throws Problem if the browser cannot read it. */
export async function bitmapOf(bytesOrBlob, type = "image/png") {
  const blob = bytesOrBlob instanceof Blob ? bytesOrBlob : new Blob([bytesOrBlob], { type });
  try {
    return await createImageBitmap(blob);
  } catch {
    throw new Problem({ detail: "The browser cannot read this file as an image.", remedy: "choose a PNG, JPEG, WebP, GIF, AVIF, BMP or SVG file" });
  }
}

/** Return the ImageData of a bitmap. */
export function pixelsOf(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  brush.drawImage(bitmap, 0, 0);
  return brush.getImageData(0, 0, bitmap.width, bitmap.height);
}

/** Pixels between the images of a grid, and around it. */
const PADDING = 2;

/** Return the left and top pixel of image i in a grid that the service made. A single image has no padding. */
export function placeInGrid(i, n, columns, width, height) {
  if (n === 1) return [0, 0];
  const across = Math.min(columns, n);
  return [PADDING + (i % across) * (width + PADDING), PADDING + Math.floor(i / across) * (height + PADDING)];
}

/** Draw image i of a grid onto a canvas, which gets the size of the image. */
export function drawFromGrid(canvas, bitmap, i, n, columns, { width, height }) {
  const [x, y] = placeInGrid(i, n, columns, width, height);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.getContext("2d").drawImage(bitmap, x, y, width, height, 0, 0, width, height);
}

/** Cut image i out of a grid, and return it as PNG bytes in the model's size. The grid may be enlarged. */
export async function cutFromGrid(bitmap, i, n, columns, { width, height }) {
  const across = Math.min(columns, n);
  const scale = bitmap.width / (n === 1 ? width : across * (width + PADDING) + PADDING);
  const [x, y] = placeInGrid(i, n, columns, width, height);
  const canvas = new OffscreenCanvas(width, height);
  const brush = canvas.getContext("2d");
  brush.imageSmoothingEnabled = false;
  brush.drawImage(bitmap, x * scale, y * scale, width * scale, height * scale, 0, 0, width, height);
  return new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
}
