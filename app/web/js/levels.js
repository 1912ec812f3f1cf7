// Grey levels of PNGs: what the encoder reads, row by row, with the channels of a pixel side by side.
import { bitmapOf, pixelsOf } from "./pictures.js";
import { prepare } from "./uploads.js";

/**
 * Return the grey levels of a PNG for a model, or null if the service has to prepare it: it has another
 * size, is transparent, or is coloured although the model is grey.
 */
export async function levelsOf({ width, height, channels }, png) {
  const pixels = pixelsOf(await bitmapOf(png));
  if (pixels.width !== width || pixels.height !== height) return null;
  const { data } = pixels;
  const levels = new Uint8ClampedArray(width * height * channels);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const [red, green, blue, alpha] = data.subarray(4 * pixel, 4 * pixel + 4);
    if (alpha !== 255 || (channels === 1 && (red !== green || red !== blue))) return null;
    for (let c = 0; c < channels; c++) levels[channels * pixel + c] = data[4 * pixel + c];
  }
  return levels;
}

/** Return the grey levels of a PNG, which the service prepares if the model cannot take it as it is. */
export async function preparedLevels(model, png, signal) {
  return (await levelsOf(model, png)) ?? levelsOf(model, await prepare(model, new Blob([png], { type: "image/png" }), { signal }));
}
