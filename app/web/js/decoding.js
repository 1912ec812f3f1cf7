// Decoding and encoding for the parts of the page that follow a pointer or a slider.
//
//   const decoder = await openDecoder(model);              // model: see describe() in models.js
//   const [picture] = await decoder.decode([z], { signal });
//
// A decoder has
//
//   local                       true if the page computes by itself, without the network
//   reason                      why it does not, a sentence to show; null if `local`
//   decode(latents, {signal})   promise of one picture for each latent, in the order of `latents`
//   encode(picture, {signal})   promise of {mu, logvar} of q(z | x), as /encode answers: under a flow
//                               they describe u
//   posterior(picture, {signal})  the same before the flow: they describe z. Equal to `encode`
//                               without a flow
//   toPrior(z), fromPrior(u)    promise of the latents, mapped by the flow from z to u and back. Equal
//                               latents without a flow
//
// Latents are arrays of arrays of numbers; those of `decode` are the ones that /decode takes, so they
// are u under a flow. They are rounded to float32. A picture is a Uint8ClampedArray of
// height * width * channels grey levels, row by row, with the channels of a pixel side by side.
// Under a flow, `posterior`, `toPrior` and `fromPrior` need a local decoder, and throw Problem otherwise.
// An aborted call throws AbortError.
import { ask, askJson, Problem } from "./api.js";
import { bitmapOf, pixelsOf, placeInGrid } from "./pictures.js";

/** Latents in one request, so that no usual limit of a service is exceeded. */
const ROWS = 64;
const COLUMNS = 8;

const opened = new Map();

/** Open the decoder of a version. The same version gives the same decoder. */
export function openDecoder(model) {
  if (!opened.has(model.ref)) {
    const decoder = open(model);
    decoder.catch(() => opened.delete(model.ref));
    opened.set(model.ref, decoder);
  }
  return opened.get(model.ref);
}

async function open(model) {
  return decoderOfService(model, "The service computes the pictures.");
}

/** Return the decoder that asks the service for everything. */
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
    throw needsLocal(reason);
  }

  async function posterior(picture, options) {
    if (straight) return encode(picture, options);
    throw needsLocal(reason);
  }

  return { local: false, reason, decode, encode, posterior, toPrior: map, fromPrior: map };
}

const needsLocal = (reason) => new Problem({ detail: "Only the page itself can map latents through the flow.", remedy: reason });

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

/** Encode a picture as the bytes of a PNG, in the size of the model. */
export async function pngOf(model, picture) {
  const canvas = new OffscreenCanvas(model.width, model.height);
  canvas.getContext("2d").putImageData(imageDataOf(model, picture), 0, 0);
  return new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
}
