// What the versions are compared on: seeds, an image of the user, or the walk between two images.
import { bitmapOf, pixelsOf, pngBytes } from "../pictures.js";
import { preprocessOf } from "../uploads.js";

export const INPUTS = ["seeds", "drawing", "walk"];

/**
 * Return the requests for the input, one for each version; null if there is no image to reconstruct.
 * Each request is for all images of a version.
 */
export function requestsOf(values, versions) {
  if (values.input === "drawing" && !values.image) return null;
  return versions.map((version) => ({ ...REQUESTS[values.input](values, version), file: `${version.ref.replace("@", "-")}-${values.input}.png` }));
}

const REQUESTS = {
  seeds: ({ n, seed, temperature }, { ref }) => ({ path: "generate", query: { model: ref, n, seed, temperature } }),
  drawing: ({ image }, version) => ({ path: "reconstruct", query: { model: version.ref, preprocess: preprocessOf([image], version) }, images: { image } }),
  walk({ a, b, steps }, version) {
    const images = Object.fromEntries(Object.entries({ a, b }).filter(([, { png }]) => png).map(([name, { png }]) => [name, png]));
    const query = { model: version.ref, seed_a: a.seed, seed_b: b.seed, steps };
    const pngs = Object.values(images);
    return pngs.length ? { path: "interpolate", query: { ...query, preprocess: preprocessOf(pngs, version) }, images } : { path: "interpolate", query };
  },
};

/**
 * Return an answer of the service as a column:
 *
 *   version   the version that made the images (models.js)
 *   shots     its images, each {item, name, caption, pixels()}: the item of a tile (tiles.js), and its ImageData
 *   seen      for a drawing, the shot of the image as the version gets it; else null
 *   nats      for a drawing, {bce, kl} in nats; else null
 */
export function columnOf(answer, version, values) {
  return { version, seen: null, nats: null, ...COLUMNS[values.input](answer, version, values) };
}

const COLUMNS = {
  seeds({ images }, { ref }, { temperature }) {
    const request = (seed) => ({ path: "generate", query: { model: ref, n: 1, seed, temperature } });
    return { shots: images.map(({ png, z, seed }) => shotOf({ png, z, seed, plain: temperature === 1, model: ref, request: request(seed) }, `${ref}, seed ${seed}`, String(seed))) };
  },
  drawing({ images: [{ input, reconstruction, mu, bce_nats, kl_nats }] }, { ref }) {
    return {
      shots: [shotOf({ png: reconstruction, z: mu, seed: null, plain: false, model: ref }, `Reconstruction by ${ref}`, "reconstruction")],
      seen: shotOf({ png: input, z: null, seed: null, plain: false, model: ref }, `What ${ref} sees`, "what the model sees"),
      nats: { bce: bce_nats, kl: kl_nats },
    };
  },
  walk({ frames }, { ref }) {
    return { shots: frames.map(({ png, z }, i) => shotOf({ png, z, seed: null, plain: false, model: ref, request: { path: "decode", query: { model: ref }, json: { z: [z] } } }, `${ref}, frame ${i + 1}`, "")) };
  },
};

function shotOf(item, name, caption) {
  let decoded = null;
  const pixels = () => (decoded ??= bitmapOf(pngBytes(item.png)).then(pixelsOf));
  return { item, name, caption, pixels };
}
