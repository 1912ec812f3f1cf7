// PNGs <-> pixels, in the browser.
import { fromBase64 } from "./codec.js";

export const dataAddress = (base64) => `data:image/png;base64,${base64}`;
export const pngBytes = (base64) => fromBase64(base64);

/** PNG bytes -> bitmap; throws Error where it is no picture. */
export async function bitmapOf(bytesOrBlob, type = "image/png") {
  const blob = bytesOrBlob instanceof Blob ? bytesOrBlob : new Blob([bytesOrBlob], { type });
  try {
    return await createImageBitmap(blob);
  } catch {
    throw new Error("This file is not a picture that the browser can read.");
  }
}

/** Bitmap -> ImageData. */
export function pixelsOf(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  brush.drawImage(bitmap, 0, 0);
  return brush.getImageData(0, 0, bitmap.width, bitmap.height);
}

const PADDING = 2;

/** Where image i lies in a grid as the service lays it out; one image alone has no border. */
export function placeInGrid(i, n, columns, width, height) {
  if (n === 1) return [0, 0];
  const across = Math.min(columns, n);
  return [PADDING + (i % across) * (width + PADDING), PADDING + Math.floor(i / across) * (height + PADDING)];
}

/** Draw image i of a grid's bitmap onto a canvas of the image's own size. */
export function drawFromGrid(canvas, bitmap, i, n, columns, { width, height }) {
  const [x, y] = placeInGrid(i, n, columns, width, height);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.getContext("2d").drawImage(bitmap, x, y, width, height, 0, 0, width, height);
}

/** Image i of a grid, which may have been enlarged, as PNG bytes in the model's size. */
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
