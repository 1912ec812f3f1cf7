// An exact VAE, as model_store/arithmetic/model.py. Latents are Float32Arrays of (rows, latent) and
// pictures Uint8Arrays of (rows, channels, height, width).
import { Arena, BATCH, prepare } from "./executor.js";
import { prepareFlow } from "./flow.js";
import { bernoulli, discretisedLogistic } from "./likelihood.js";
import { sha256 } from "./sha256.js";
import { greyLevels, LOGIT_LIMIT } from "./tables.js";

/** Rows of the fixed inputs whose results are hashed. */
const FIXED_ROWS = 5;

/** Prepare a network (file.js) for the `spec` of its manifest. Throws UnsupportedError, WebAssembly.CompileError. */
export function prepareModel(network, spec) {
  const { latent, logvar_bound: bound = null, image: { channels, height, width } } = spec;
  const size = channels * height * width;
  const arena = new Arena();
  const encoder = prepare(arena, network.encode, [channels, height, width], 255);
  const decoder = prepare(arena, network.decode, [latent]);
  const clamped = arena.take(4 * BATCH * decoder.output.size) / 4;
  const flow = network.flow.length ? prepareFlow(arena, network.flow, latent) : null;
  const likelihood = network.logScale ? discretisedLogistic(network.logScale) : bernoulli();
  const grey = greyLevels();

  /** Return mu and logvar of q(z | x) of one picture, before the flow. */
  function posterior(levels) {
    const { input, output } = encoder;
    input.places.forEach((place, i) => (arena.floats[input.at + place] = levels[i]));
    encoder.run(1);
    const result = Float32Array.from(output.places, (place) => arena.floats[output.at + place] + 0); // -0 becomes 0
    const logvar = result.subarray(latent);
    if (bound !== null) logvar.forEach((value, d) => (logvar[d] = Math.min(Math.max(value, -bound), bound)));
    return { mu: result.subarray(0, latent), logvar };
  }

  /** Return mu and logvar of one picture in the space of u. */
  function encode(levels) {
    const { mu, logvar } = posterior(levels);
    return flow ? flow.gaussianForward(mu, logvar) : { mu, logvar };
  }

  const toU = (z) => (flow ? flow.forward(z) : z);
  const toZ = (u) => (flow ? flow.inverse(u) : u);

  /** Decode z; use(logits, row) receives the clamped and rounded logits of each picture. */
  function decodeRows(z, use) {
    const { input, output } = decoder;
    const logits = new Int16Array(size);
    for (let first = 0; first * latent < z.length; first += BATCH) {
      const rows = Math.min(BATCH, z.length / latent - first);
      for (let row = 0; row < rows; row++) {
        arena.floats.set(z.subarray((first + row) * latent, (first + row + 1) * latent), input.at + row * input.size);
      }
      decoder.run(rows);
      arena.kernels.levels(4 * output.at, 4 * clamped, rows * output.size, -LOGIT_LIMIT, LOGIT_LIMIT);
      for (let row = 0; row < rows; row++) {
        const start = clamped + row * output.size;
        for (let i = 0; i < size; i++) logits[i] = arena.floats[start + output.places[i]];
        use(logits, first + row);
      }
    }
  }

  /** Return the mean images of p(x | u). */
  function decode(u) {
    const pictures = new Uint8Array((u.length / latent) * size);
    decodeRows(toZ(u), (logits, row) => {
      for (let i = 0; i < size; i++) pictures[row * size + i] = grey[logits[i] + LOGIT_LIMIT];
    });
    return pictures;
  }

  /** Return ln p(x | u) of each pair of a picture and a latent, in nats. */
  function logLikelihood(levels, u) {
    const nats = new Float32Array(u.length / latent);
    decodeRows(toZ(u), (logits, row) => (nats[row] = likelihood(levels.subarray(row * size, (row + 1) * size), logits)));
    return nats;
  }

  /** Return the SHA-256 of every function's results for the fixed inputs. */
  function hashes() {
    const { levels, u } = fixedInputs(size, latent);
    const encodings = Array.from({ length: FIXED_ROWS }, (_, row) => encode(levels.subarray(row * size, (row + 1) * size)));
    const results = {
      encode: [...encodings.map(({ mu }) => mu), ...encodings.map(({ logvar }) => logvar)],
      decode: [decode(u)],
      log_likelihood: [logLikelihood(levels, u)],
      ...(flow && { to_u: [toU(u)], to_z: [toZ(u)] }),
    };
    return Object.fromEntries(Object.entries(results).map(([name, arrays]) => [name, sha256(bytesOf(arrays))]));
  }

  return { decode, encode, posterior, toU, toZ, logLikelihood, hashes, size, latent };
}

/** Return grey levels and latents of FIXED_ROWS pictures, computed from integers. */
function fixedInputs(size, latent) {
  const mixed = (i) => Math.imul(i, 2654435761) >>> 0;
  return {
    levels: Uint8Array.from({ length: FIXED_ROWS * size }, (_, i) => mixed(i) >>> 24),
    u: Float32Array.from({ length: FIXED_ROWS * latent }, (_, i) => mixed(i) / 2 ** 30 - 2),
  };
}

/** Return the bytes of all arrays, little-endian. */
function bytesOf(arrays) {
  const bytes = new Uint8Array(arrays.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const array of arrays) {
    if (array instanceof Uint8Array) bytes.set(array, at);
    else array.forEach((value, i) => new DataView(bytes.buffer).setFloat32(at + 4 * i, value, true));
    at += array.byteLength;
  }
  return bytes;
}
