// Functions of finitely many values. The results of Math differ in the last bits between browsers; the
// specification of the arithmetic keeps every entry farther than that from a rounding boundary.
import { nearest } from "./rounding.js";

/** Logits are integers in units of 2^-8, clamped to +-16. */
export const LOGIT_LIMIT = 16 * 2 ** 8;
/** Units of a likelihood in one nat. */
export const NATS = 2 ** 20;
/** Raw scales of a flow are multiples of 2^-12, clamped to +-12. */
const RAW_LIMIT = 12 * 2 ** 12;
/** ln sigma^2 is rounded to multiples of 2^-8 and clamped to +-32 before sigma is computed from it. */
const LOGVAR_LIMIT = 32 * 2 ** 8;
/** Steps of the mean within one grey level, for the discretised logistic. */
export const FINE = 16;
/** SiLU is computed for inputs of at most this size; beyond, it is 0 or x. */
const SILU_REACH = 24;

/** Return the function that computes its result once for each argument. */
function once(compute) {
  const results = new Map();
  return (argument) => {
    if (!results.has(argument)) results.set(argument, compute(argument));
    return results.get(argument);
  };
}

const logits = (type, f) => type.from({ length: 2 * LOGIT_LIMIT + 1 }, (_, i) => nearest(f((i - LOGIT_LIMIT) / 256)));
const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Return the grey levels of logits; index 0 belongs to -LOGIT_LIMIT. */
export const greyLevels = once(() => logits(Uint8Array, (x) => 255 * sigmoid(x)));

/** Return the means in units of 1 / FINE grey level of logits; index 0 belongs to -LOGIT_LIMIT. */
export const fineMeans = once(() => logits(Float64Array, (x) => 255 * FINE * sigmoid(x)));

/** Return ln(1 + e^x) in units of 1 / NATS of logits; index 0 belongs to -LOGIT_LIMIT. */
export const softplus = once(() => logits(Float64Array, (x) => NATS * Math.log1p(Math.exp(x))));

/** Return SiLU of the integers from -reach to reach in units of 2^-exponent: {values, reach}. */
export const silu = once((exponent) => {
  const reach = SILU_REACH * 2 ** exponent;
  const values = Float32Array.from({ length: 2 * reach + 1 }, (_, i) => {
    const x = (i - reach) / 2 ** exponent;
    return x * sigmoid(x);
  });
  return { values, reach };
});

const factors = once(() =>
  Float32Array.from({ length: 2 * RAW_LIMIT + 1 }, (_, i) => Math.exp(2 * Math.tanh((i - RAW_LIMIT) / 4096 / 2))));

/** Return the function from raw scales of a coupling to factors, exp(2 tanh(raw / 2)). */
export function factorTable() {
  const table = factors();
  return (raw) => table[Math.min(Math.max(nearest(raw * 4096), -RAW_LIMIT), RAW_LIMIT) + RAW_LIMIT];
}

/** Return sigma for ln sigma^2. */
export function sigmaOf(logvar) {
  return Math.fround(Math.exp(Math.min(Math.max(nearest(logvar * 256), -LOGVAR_LIMIT), LOGVAR_LIMIT) / 512));
}

const logSigmoid = (x) => -(Math.max(0, -x) + Math.log1p(Math.exp(-Math.abs(x))));

/**
 * Return ln of a level's probability by its distance from the mean, in units of 1 / NATS, for levels
 * 1 to 254, for 0 and everything below, and for 255 and everything above. Index 0 is the distance -255.
 */
export const logistic = once((logScale) => {
  const reach = 255 * FINE;
  const [half, inverse] = [0.5 / 255, Math.exp(-logScale)];
  const width = Math.log(-Math.expm1(-2 * half * inverse));
  const inside = new Float64Array(2 * reach + 1);
  const [below, above] = [inside.slice(), inside.slice()];
  for (let i = 0; i <= 2 * reach; i++) {
    const distance = (i - reach) / reach;
    const [low, high] = [logSigmoid((distance + half) * inverse), logSigmoid((half - distance) * inverse)];
    below[i] = nearest(low * NATS);
    above[i] = nearest(high * NATS);
    inside[i] = nearest((low + high + width) * NATS);
  }
  return [inside, below, above];
});
