// Image files from the user. They are prepared for a model; if the service made the file, the
// settings in it are restored.
import { askJson } from "./api.js";
import { bitmapOf, cutFromGrid, pngBytes } from "./pictures.js";
import { parametersOf } from "./png_text.js";

const MAX_PIXELS = 600 * 600;

/** Return the bytes of an image file, made smaller if it exceeds MAX_PIXELS. No model uses as many pixels as a photo has. */
async function shrink(blob) {
  // HEIC begins like AVIF. Most browsers cannot read it, but the service can.
  const isHeic = new TextDecoder("latin1").decode(await blob.slice(4, 8).arrayBuffer()) === "ftyp";
  const bitmap = await bitmapOf(blob).catch((error) => (isHeic ? null : Promise.reject(error)));
  if (!bitmap) return new Uint8Array(await blob.arrayBuffer());
  const scale = Math.sqrt(MAX_PIXELS / (bitmap.width * bitmap.height));
  if (scale >= 1) return new Uint8Array(await blob.arrayBuffer());
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
  const brush = canvas.getContext("2d");
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 })).arrayBuffer());
}

/** Let the service prepare an image for a model. Returns PNG bytes in the model's size. */
export async function prepare(model, blob, options) {
  const images = { image: await shrink(blob) };
  const answer = await askJson({ path: "reconstruct", query: { model: model.ref }, images }, options);
  return pngBytes(answer.images[0].input);
}

/** Return the value for `preprocess=`: "none" if all PNGs already have the model's size, else "auto". */
export function preprocessOf(pngs, model) {
  const fits = (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return view.getUint32(16) === model.width && view.getUint32(20) === model.height;
  };
  return pngs.every(fits) ? "none" : "auto";
}

/** Return the state that made a file, for `store.restore`, or null if the file does not contain its settings. */
export async function stateOf(blob, catalogue) {
  const parameters = parametersOf(new Uint8Array(await blob.arrayBuffer()));
  const { model: reference, endpoint } = parameters ?? {};
  if (typeof reference !== "string" || typeof endpoint !== "string" || !Object.hasOwn(RESTORE, endpoint)) return null;
  const model = await catalogue.version(catalogue.reference(reference));
  const state = await RESTORE[endpoint](parameters, await bitmapOf(blob), model);
  return state ? { ...state, model: model.ref } : null;
}

const generated = ({ n, seed, temperature, label = null }) => ({ part: "generate", values: { n, seed, temperature, label } });
const decoded = ({ z }) => Array.isArray(z) && { part: "traverse", values: { z: z[0] } };

function traversed({ seed, z, steps, span, direction }, bitmap, model) {
  const start = seed === undefined ? { z: z ?? new Array(model.latent).fill(0) } : { z: null, seed };
  return { part: "traverse", values: { ...start, steps, span, rows: direction ? "directions" : "dimensions" } };
}

/** An edited image is opened as the strips of directions around its start. */
function edited({ seed, z }) {
  if (seed === undefined && !z) return false;
  return { part: "traverse", values: { ...(seed === undefined ? { z } : { z: null, seed }), rows: "directions" } };
}

async function reconstructed({ images }, bitmap, model) {
  return { part: "draw", values: { image: await cutFromGrid(bitmap, 0, 2 * images, images, model) } };
}

async function interpolated({ seed_a, seed_b, steps, path }, bitmap, model) {
  const count = steps + 2;
  const endAt = async (seed, i) => (seed === undefined ? { png: await cutFromGrid(bitmap, i, count, count, model) } : { seed });
  return { part: "interpolate", values: { a: await endAt(seed_a, 0), b: await endAt(seed_b, count - 1), steps, path } };
}

/** The functions that restore a state, by the endpoint that made the file. */
const RESTORE = {
  "/generate": generated, "/decode": decoded, "/reconstruct": reconstructed,
  "/interpolate": interpolated, "/traverse": traversed, "/edit": edited,
};
