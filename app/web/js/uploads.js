// Image files from the user. They are prepared for a model; if the service made the file, the
// settings in it are restored.
import { askJson } from "./api.js";
import { readableBytes } from "./image_files.js";
import { bitmapOf, cutFromGrid, pngBytes } from "./pictures.js";
import { parametersOf } from "./png_text.js";

/** Let the service prepare an image file for a model. Returns PNG bytes in the model's size. */
export async function prepare(model, blob, options) {
  return (await preparedBy(model, blob, options)).png;
}

/** Let the service prepare and reconstruct an image file: {image, png} are an image of its answer, and PNG bytes in the model's size. */
export async function preparedBy(model, blob, options) {
  const images = { image: await readableBytes(blob) };
  const answer = await askJson({ path: "reconstruct", query: { model: model.ref }, images }, options);
  const [image] = answer.images;
  return { image, png: pngBytes(image.input) };
}

/** Return the value for `preprocess=`: "none" if all PNGs already have the model's size, else "auto". */
export function preprocessOf(pngs, model) {
  const fits = (bytes) => {
    if (bytes.length < 24) return false; // no PNG: the service says so
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
