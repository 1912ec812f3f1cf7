// Files of the person's own -> what a model sees of them; files made here -> the state they show.
import { askJson } from "./api.js";
import { bitmapOf, cutFromGrid, pngBytes } from "./pictures.js";
import { parametersOf } from "./png_text.js";

const MOST_PIXELS = 600 * 600;

/** A file small enough to send: photos of phones are larger than any model could see. */
async function small(blob) {
  const bitmap = await bitmapOf(blob);
  const scale = Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height));
  if (scale >= 1) return new Uint8Array(await blob.arrayBuffer());
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
  const brush = canvas.getContext("2d");
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 })).arrayBuffer());
}

/** What the model sees of a picture, as PNG bytes of the model's own shape. */
export async function seenBy(model, blob, options) {
  const images = { image: await small(blob) };
  const answer = await askJson({ path: "reconstruct", query: { model: model.ref }, images }, options);
  return pngBytes(answer.images[0].input);
}

/** Pictures that have the model's form already are taken as they are. */
export function preprocessOf(pngs, model) {
  const fits = (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return view.getUint32(16) === model.width && view.getUint32(20) === model.height;
  };
  return pngs.every(fits) ? "none" : "auto";
}

/** The state that a file was saved from, as store.go takes it; null where it does not say. */
export async function stateOf(blob, catalogue) {
  const said = parametersOf(new Uint8Array(await blob.arrayBuffer()));
  if (!said?.model) return null;
  const model = await catalogue.version(catalogue.reference(said.model));
  const restore = {
    "/generate": generated, "/decode": decoded, "/reconstruct": reconstructed,
    "/interpolate": interpolated, "/traverse": traversed,
  }[said.endpoint];
  const found = restore && (await restore(said, await bitmapOf(blob), model));
  return found ? { ...found, model: model.ref } : null;
}

const generated = ({ n, seed, temperature, label = null }) => ({ part: "generate", values: { n, seed, temperature, label } });
const decoded = ({ z }) => z && { part: "traverse", values: { z: z[0] } };

function traversed({ seed, z, steps, span }, bitmap, model) {
  const start = seed === undefined ? { z: z ?? new Array(model.latent).fill(0) } : { z: null, seed };
  return { part: "traverse", values: { ...start, steps, span } };
}

async function reconstructed({ images }, bitmap, model) {
  return { part: "draw", values: { image: await cutFromGrid(bitmap, 0, 2 * images, images, model) } };
}

async function interpolated({ seed_a, seed_b, steps, path }, bitmap, model) {
  const count = steps + 2;
  const at = async (seed, i) => (seed === undefined ? { png: await cutFromGrid(bitmap, i, count, count, model) } : { seed });
  return { part: "interpolate", values: { a: await at(seed_a, 0), b: await at(seed_b, count - 1), steps, path } };
}
