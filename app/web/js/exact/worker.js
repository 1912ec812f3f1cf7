// The worker of decoding.js: computes with exact versions, next to the page.
//
//   page -> worker    {id, call, source, input}   do this (see CALLS)
//                     {id, cancel: true}          nobody waits for it any more
//   worker -> page    {id, result} or {id, error: {reason, unreachable}}
//
// A source describes a version: {spec, files: [{address, sha256}, {address, sha256}]}, the addresses and
// checksums of exact.safetensors and golden.json. `reason` is a sentence to show.
//
// Long work is done in steps of a few milliseconds, and the shortest work goes first, so that the picture at
// the pointer does not wait for a whole map.
import "./assembler.js"; // All modules are imported here, so that the browser fetches them together.
import "./executor.js";
import { UnsupportedError } from "../safetensors.js";
import { readNetwork } from "./file.js";
import "./flow.js";
import { forgetFile, keepFile, keptFile } from "./kept_files.js";
import "./kernels.js";
import "./likelihood.js";
import { prepareModel } from "./model.js";
import "./rounding.js";
import { sha256 } from "./sha256.js";
import "./tables.js";

/** Versions that are kept ready. */
const MAX_MODELS = 4;
/** Latents that are decoded in one step. */
const STEP_ROWS = 8;

const models = new Map();
const jobs = new Map();

// --- versions ---

/** Fetch a file, or take the kept one. Throws UnsupportedError if it is not the one that was published. */
async function fileOf(file) {
  const kept = await keptFile(file);
  const response = kept ?? (await fetch(file.address));
  if (!response.ok) throw new Unreachable(`The service answered with status ${response.status}.`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (sha256(bytes) !== file.sha256) {
    await forgetFile(file);
    throw new UnsupportedError("The weights that arrived are not those that were published.");
  }
  if (!kept) await keepFile(file, bytes);
  return bytes;
}

/** Say that a file could not be fetched now. */
class Unreachable extends Error {}

/** Prepare a version and check its golden hashes. Throws UnsupportedError, Unreachable. */
async function open({ files, spec }) {
  const [weights, golden] = await Promise.all(files.map(fileOf)).catch((error) => {
    throw error instanceof TypeError ? new Unreachable("The service cannot be reached.") : error;
  });
  const model = prepareModel(readNetwork(weights), spec);
  const expected = JSON.parse(new TextDecoder().decode(golden));
  const hashes = model.hashes();
  const different = Object.keys({ ...expected, ...hashes }).filter((name) => expected[name] !== hashes[name]);
  if (different.length) throw new UnsupportedError(`This browser computes something else than was published for this version (${different.join(", ")}).`);
  return { ...model, image: spec.image };
}

/** Return a promise of the model of a source, of which the most recent ones are kept. */
function modelOf(source) {
  const key = source.files[0].sha256;
  const model = models.get(key) ?? open(source);
  model.catch(() => models.delete(key));
  models.delete(key);
  models.set(key, model);
  if (models.size > MAX_MODELS) models.delete(models.keys().next().value);
  return model;
}

// --- pictures: (channels, height, width) in a model, and (height, width, channels) on the page ---

/** Copy a picture from one order to the other: `toPage` says in which direction. */
function reorder(picture, { channels }, toPage) {
  if (channels === 1) return picture;
  const pixels = picture.length / channels;
  return picture.map((_, i) => (toPage ? picture[(i % channels) * pixels + Math.floor(i / channels)] : picture[(i % pixels) * channels + Math.floor(i / pixels)]));
}

// --- calls: (model, input) -> generator, whose steps return nothing, and its value is the result ---

const CALLS = {
  *check() {},

  /** Decode latents, (rows * latent) float32, into (rows * size) bytes. */
  *decode(model, latents) {
    const { latent, size, image } = model;
    const pictures = new Uint8ClampedArray((latents.length / latent) * size);
    for (let first = 0; first * latent < latents.length; first += STEP_ROWS) {
      const decoded = model.decode(latents.subarray(first * latent, (first + STEP_ROWS) * latent));
      for (let at = 0; at < decoded.length; at += size) pictures.set(reorder(decoded.subarray(at, at + size), image, true), first * size + at);
      yield;
    }
    return pictures;
  },

  *encode(model, picture) {
    return model.encode(reorder(picture, model.image, false));
  },

  *posterior(model, picture) {
    return model.posterior(reorder(picture, model.image, false));
  },

  *toPrior(model, latents) {
    return model.toU(latents);
  },

  *fromPrior(model, latents) {
    return model.toZ(latents);
  },

  *logLikelihood(model, { picture, latents }) {
    const copies = new Uint8Array((latents.length / model.latent) * model.size);
    const levels = reorder(picture, model.image, false);
    for (let at = 0; at < copies.length; at += model.size) copies.set(levels, at);
    return model.logLikelihood(copies, latents);
  },
};

// --- work ---

const { port1: next, port2: again } = new MessageChannel();
let scheduled = false;

/** Do one step of the shortest job after the messages that have arrived. */
function schedule() {
  if (scheduled || !jobs.size) return;
  scheduled = true;
  again.postMessage(null);
}

next.onmessage = () => {
  scheduled = false;
  if (!jobs.size) return;
  const [id, job] = [...jobs].reduce((best, each) => (each[1].left < best[1].left ? each : best));
  try {
    const { done, value } = job.steps.next();
    job.left -= STEP_ROWS;
    if (done) {
      jobs.delete(id);
      answer(id, value);
    }
  } catch (error) {
    jobs.delete(id);
    refuse(id, error);
  }
  schedule();
};

/** Send a result. The memory of pictures is moved, not copied. */
function answer(id, result) {
  self.postMessage({ id, result }, result instanceof Uint8ClampedArray ? [result.buffer] : []);
}

function refuse(id, error) {
  const unsupported = error instanceof UnsupportedError;
  const reason = unsupported || error instanceof Unreachable ? error.message : `The browser cannot do it: ${error.message}.`;
  self.postMessage({ id, error: { reason, unreachable: error instanceof Unreachable } });
}

/** Ids of calls whose version is not ready yet. */
const waiting = new Set();

self.onmessage = async ({ data: { id, call, source, input, cancel } }) => {
  if (cancel) {
    jobs.delete(id);
    waiting.delete(id);
    return;
  }
  waiting.add(id);
  try {
    const model = await modelOf(source);
    if (waiting.delete(id)) jobs.set(id, { steps: CALLS[call](model, input), left: input?.length / model.latent || 0 });
    schedule();
  } catch (error) {
    waiting.delete(id);
    refuse(id, error);
  }
};
