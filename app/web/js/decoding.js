// Decoding and encoding for the parts of the page that follow a pointer or a slider.
//
//   const decoder = await openDecoder(model);              // model: see describe() in models.js
//   const [picture] = await decoder.decode([z], { signal });
//
// The page computes by itself, in a worker, as soon as it has the weights of the version and has checked
// its golden hashes: then its pictures are those of the service, bit for bit. Until then, and if it cannot,
// the same functions ask the service. Weights that the browser does not keep yet are fetched after the first
// pictures of the page are shown, so that a slow line carries these alone. A decoder has
//
//   local                       true if the page computes by itself, without the network
//   reason                      why it does not, a sentence to show; null if `local`
//   ready                       promise of the decoder, when `local` has its last value
//   decode(latents, {signal})   promise of one picture for each latent, in the order of `latents`
//   encode(picture, {signal})   promise of {mu, logvar} of q(z | x), as /encode answers: under a flow
//                               they describe u
//   posterior(picture, {signal})  the same before the flow: they describe z. Equal to `encode`
//                               without a flow
//   toPrior(z), fromPrior(u)    promise of the latents, mapped by the flow from z to u and back. Equal
//                               latents without a flow
//   logLikelihood(picture, latents)  promise of ln p(x | z) in nats, for each latent
//
// Latents are arrays of arrays of numbers; those of `decode` are the ones that /decode takes, so they
// are u under a flow. They are rounded to float32. A picture is a Uint8ClampedArray of
// height * width * channels grey levels, row by row, with the channels of a pixel side by side.
// `logLikelihood`, and under a flow `posterior`, `toPrior` and `fromPrior`, need a local decoder, and throw
// Problem otherwise. An aborted call throws AbortError.
import { ask, askJson, Problem } from "./api.js";
import { toBase64 } from "./codec.js";
import { isKept } from "./exact/kept_files.js";
import { firstPictures } from "./first_pictures.js";
import { bitmapOf, pixelsOf, placeInGrid } from "./pictures.js";

/** Latents in one request, so that no usual limit of a service is exceeded. */
const ROWS = 64;
const COLUMNS = 8;
/** How long `openDecoder` waits for the worker, before it returns a decoder that asks the service meanwhile. */
const PATIENCE_MS = 300;
const PREPARING = "The page is fetching the weights.";

const opened = new Map();

/**
 * Open the decoder of a version. The same version gives the same decoder. The worker is waited for
 * once, for a moment, and only if it need not wait for the weights.
 */
export function openDecoder(model) {
  if (!opened.has(model.ref)) opened.set(model.ref, open(model));
  return opened.get(model.ref);
}

/** Return a promise of a decoder that asks the service until the worker is ready. */
function open(model) {
  const service = decoderOfService(model, () => decoder.reason);
  const decoder = { ...service, local: false, reason: PREPARING };
  return new Promise((resolve) => {
    const resolveNow = () => resolve(decoder);
    decoder.ready = localDecoder(model, resolveNow).then(
      (local) => Object.assign(decoder, local, { local: true, reason: null }),
      ({ message, unreachable }) => {
        if (unreachable) opened.delete(model.ref); // Another call tries again.
        return Object.assign(decoder, { reason: message });
      },
    );
    decoder.ready.then(resolveNow);
    decoder.ready.then(() => performance.mark(`decoder of ${model.ref}`)); // for tools that measure pages, and tests
    setTimeout(resolveNow, PATIENCE_MS);
  });
}

// --- the worker --------------------------------------------------------------------------------

const waiting = new Map();
let worker = null;
let lastId = 0;

/** Say why the page does not compute by itself. `unreachable`: it may do so later. */
class NotLocal extends Error {
  constructor({ reason, unreachable = false }) {
    super(reason);
    this.unreachable = unreachable;
  }
}

function startWorker() {
  const started = new Worker(new URL("./exact/worker.js", import.meta.url), { type: "module" });
  started.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    if (error) reject?.(new NotLocal(error));
    else resolve?.(result);
  };
  // An event without a message says that the code did not arrive; the next one who needs it tries again.
  started.onerror = ({ message }) => {
    const error = message ? { reason: "This browser cannot run the decoder of the page." } : { reason: "The decoder of the page could not be loaded.", unreachable: true };
    for (const { reject } of waiting.values()) reject(new NotLocal(error));
    waiting.clear();
    started.terminate();
    worker = null;
  };
  return started;
}

/** Ask the worker for a call (see exact/worker.js). */
function askWorker(source, call, input, signal) {
  signal?.throwIfAborted();
  worker ??= startWorker();
  const id = (lastId += 1);
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    signal?.addEventListener("abort", () => {
      if (waiting.delete(id)) worker?.postMessage({ id, cancel: true });
      reject(signal.reason);
    }, { once: true });
    worker.postMessage({ id, call, source, input });
  });
}

/** Return where the worker finds a version. Throws NotLocal if the page cannot compute with it. */
function sourceOf({ manifest }) {
  const { name, version, spec, files } = manifest;
  const names = ["exact.safetensors", "golden.json"];
  if (!names.every((file) => Object.hasOwn(files, file))) {
    throw new NotLocal({ reason: "This version computes with floating-point numbers, whose last bits differ between machines." });
  }
  const address = (file) => new URL(`models/${name}/${version}/files/${file}`, document.baseURI).href;
  return { spec, files: names.map((file) => ({ address: address(file), sha256: files[file].sha256 })) };
}

/**
 * Return the functions that the worker computes, once it has checked the version. `mustFetch()` is called
 * if the weights are fetched later, after the first pictures. Throws NotLocal.
 */
async function localDecoder(model, mustFetch) {
  const source = sourceOf(model);
  if (!await isKept(source)) {
    mustFetch();
    await firstPictures;
  }
  await askWorker(source, "check");
  const { latent } = model;
  const size = model.height * model.width * model.channels;
  const flat = (latents) => {
    const rows = new Float32Array(latents.length * latent);
    latents.forEach((row, i) => rows.set(row, i * latent));
    return rows;
  };
  const map = (call) => async (latents) => {
    const rows = await askWorker(source, call, flat(latents));
    return latents.map((_, i) => Array.from(rows.subarray(i * latent, (i + 1) * latent)));
  };
  const encode = (call) => async (picture, { signal } = {}) => {
    const { mu, logvar } = await askWorker(source, call, Uint8Array.from(picture), signal);
    return { mu: Array.from(mu), logvar: Array.from(logvar) };
  };

  return {
    async decode(latents, { signal } = {}) {
      if (!latents.length) return [];
      const pictures = await askWorker(source, "decode", flat(latents), signal);
      return latents.map((_, i) => pictures.subarray(i * size, (i + 1) * size));
    },
    encode: encode("encode"),
    posterior: encode("posterior"),
    toPrior: map("toPrior"),
    fromPrior: map("fromPrior"),
    async logLikelihood(picture, latents) {
      return Array.from(await askWorker(source, "logLikelihood", { picture: Uint8Array.from(picture), latents: flat(latents) }));
    },
  };
}

// --- the service -------------------------------------------------------------------------------

/** Return the functions that ask the service; reason() says why. */
function decoderOfService(model, reason) {
  const straight = !model.manifest.spec.prior;

  async function decode(latents, { signal } = {}) {
    const pictures = [];
    for (let start = 0; start < latents.length; start += ROWS) {
      pictures.push(...await decodeRows(model, latents.slice(start, start + ROWS), signal));
    }
    return pictures;
  }

  async function encode(picture, { signal } = {}) {
    const png = await pngOf(model, picture);
    const request = { path: "encode", query: { model: model.ref, preprocess: "none" }, images: { image: png } };
    const [{ mu, logvar }] = (await askJson(request, { signal })).images;
    return { mu, logvar };
  }

  async function map(latents) {
    if (straight) return latents.map((row) => Array.from(Float32Array.from(row)));
    throw needsLocal(reason());
  }

  async function posterior(picture, options) {
    if (straight) return encode(picture, options);
    throw needsLocal(reason());
  }

  async function logLikelihood() {
    throw needsLocal(reason());
  }

  return { decode, encode, posterior, toPrior: map, fromPrior: map, logLikelihood };
}

const needsLocal = (reason) => new Problem({ detail: `The service has no call for this, and the page cannot compute it by itself. ${reason}` });

// --- pictures ----------------------------------------------------------------------------------

async function decodeRows(model, z, signal) {
  const { channels, height, width } = model;
  const request = { path: "decode", query: { model: model.ref, columns: COLUMNS, metadata: false, format: "png" }, json: { z } };
  const grid = pixelsOf(await bitmapOf(await (await ask(request, { signal })).blob()));
  signal?.throwIfAborted();
  return z.map((_, i) => {
    const [left, top] = placeInGrid(i, z.length, COLUMNS, width, height);
    const picture = new Uint8ClampedArray(height * width * channels);
    let at = 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const pixel = 4 * ((top + y) * grid.width + left + x);
        for (let c = 0; c < channels; c++) picture[at++] = grid.data[pixel + c];
      }
    }
    return picture;
  });
}

/** Return a picture as ImageData, for a canvas. */
export function imageDataOf({ channels, height, width }, picture) {
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < height * width; pixel++) {
    for (let c = 0; c < 3; c++) image.data[4 * pixel + c] = picture[channels * pixel + (channels === 1 ? 0 : c)];
    image.data[4 * pixel + 3] = 255;
  }
  return image;
}

/** Draw a picture onto a canvas, which gets the size of the picture. */
export function drawPicture(canvas, model, picture) {
  if (canvas.width !== model.width) canvas.width = model.width;
  if (canvas.height !== model.height) canvas.height = model.height;
  canvas.getContext("2d").putImageData(imageDataOf(model, picture), 0, 0);
}

/** Return items for tiles (tiles.js), without requests: the pictures of latents, decoded. */
export async function itemsOf(model, decoder, latents, { signal } = {}) {
  const pictures = await decoder.decode(latents, { signal });
  const pngs = await Promise.all(pictures.map((picture) => pngOf(model, picture)));
  return latents.map((z, i) => ({ png: toBase64(pngs[i]), z, seed: null, plain: false, model: model.ref }));
}

/** Encode a picture as the bytes of a PNG, in the size of the model. */
export async function pngOf(model, picture) {
  const canvas = new OffscreenCanvas(model.width, model.height);
  canvas.getContext("2d").putImageData(imageDataOf(model, picture), 0, 0);
  return new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
}
