// Latents of a version's test images, from its file encoded_images.safetensors.
import { ask, Problem } from "../api.js";
import { readSafetensors } from "../safetensors.js";

const FILE = "encoded_images.safetensors";
const TYPES = ["I8", "I16", "I32", "F32"];
const loaded = new Map();

/** Return true if a version was published with latents of test images. */
export const hasEncodedImages = (model) => Object.hasOwn(model.manifest.files, FILE);

/**
 * Load the latents of a version, once. Returns {count, latent, u, scale, labels, indices}:
 *
 *   u         Float32Array, count * latent: the latents in the space of /decode, image by image
 *   scale     Float32Array, latent: the step to which each dimension is rounded
 *   labels    Int16Array, index of the class of each image, or null
 *   indices   Int32Array, place of each image in the test split
 */
export function encodedImages(model) {
  if (!loaded.has(model.ref)) {
    const work = load(model);
    work.catch(() => loaded.delete(model.ref));
    loaded.set(model.ref, work);
  }
  return loaded.get(model.ref);
}

async function load(model) {
  const response = await ask({ path: `models/${model.ref.replace("@", "/")}/files/${FILE}`, method: "GET" });
  const { tensors } = readSafetensors(new Uint8Array(await response.arrayBuffer()), TYPES);
  const [levels, scale, labels, indices] = ["levels", "scale", "labels", "indices"].map((name) => tensors.get(name)?.data);
  const latent = scale.length;
  if (latent !== model.latent) throw new Problem({ detail: `The latents of test images of ${model.ref} have ${latent} dimensions instead of ${model.latent}.` });
  const u = Float32Array.from(levels, (level, i) => level * scale[i % latent]);
  return { count: indices.length, latent, u, scale, labels: labels ?? null, indices };
}

/** Return the latent of image i as an array of numbers. */
export const latentOf = ({ u, latent }, i) => Array.from(u.subarray(i * latent, (i + 1) * latent));

/**
 * Return the latent of image i, moved at random within the step to which it is rounded. Without that,
 * points would seem to lie on a lattice when the map is zoomed in.
 */
export function scatteredLatentOf(encoded, i) {
  return latentOf(encoded, i).map((value, d) => value + encoded.scale[d] * (noise(i, d) - 0.5));
}

/** Return a number from 0 to 1 that looks random, the same for the same two integers. */
function noise(i, d) {
  let bits = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(d + 1, 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 15), 0x2c1b3c6d);
  bits = Math.imul(bits ^ (bits >>> 12), 0x297a2d39);
  return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
}
