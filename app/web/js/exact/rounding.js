// Rounding to the nearest, ties to even, and functions that are correctly rounded to float32.

const ROUNDER = 1.5 * 2 ** 52;

/** Round to the nearest integer, ties to even, like rint in C. |x| is below 2^51. */
export const nearest = (x) => x + ROUNDER - ROUNDER;

/** Return 2^exponent, without the error that ** may have. */
export function powerOfTwo(exponent) {
  let power = 1;
  for (let i = 0; i < Math.abs(exponent); i++) power *= exponent > 0 ? 2 : 0.5;
  return power;
}

/** Allowed relative error of a function of Math; 64 times the usual error. */
const ERROR = 2 ** -46;
/** Binary digits behind the point of the fixed-point numbers of `exactLog` and fixed_point.js. */
export const BITS = 200n;

/**
 * Return `result`, whose absolute error is at most `error`, rounded to float32. If the two do not determine
 * the float32, it is that of exactly(), the real value in units of 2^-BITS.
 */
export function toFloat32(result, error, exactly) {
  const low = Math.fround(result - error);
  return low === Math.fround(result + error) ? low : nearestFloat32(exactly());
}

/** Return ln of a positive number, correctly rounded to float32. */
export function log(value) {
  const result = Math.log(value);
  if (!Number.isFinite(result)) return result;
  return toFloat32(result, Math.abs(result) * ERROR + 2 ** -60, () => exactLog(value));
}

/** Return ln of a positive number as an integer in units of 2^-BITS, with an error of a few units. */
export function exactLog(value) {
  let exponent = 0;
  for (; value >= 2; exponent++) value /= 2;
  for (; value < 1; exponent--) value *= 2;
  const mantissa = BigInt(value * 2 ** 52) << (BITS - 52n);
  return logOf(mantissa) + BigInt(exponent) * logOf(2n << BITS);
}

/** Return ln x = 2 artanh((x - 1) / (x + 1)) for x from 1 to 2, in units of 2^-BITS. */
function logOf(x) {
  const one = 1n << BITS;
  const ratio = ((x - one) << BITS) / (x + one);
  const square = (ratio * ratio) >> BITS;
  let sum = 0n;
  for (let term = ratio, n = 1n; term; n += 2n, term = (term * square) >> BITS) sum += term / n;
  return 2n * sum;
}

/** Return the float32 nearest to `exact`, an integer in units of 2^-BITS. */
function nearestFloat32(exact) {
  const guess = Math.fround(Number(exact) * 2 ** -Number(BITS));
  if (!guess) return 0;
  const bits = new Int32Array(new Float32Array([guess]).buffer);
  const distance = (step) => {
    const candidate = new Float32Array(new Int32Array([bits[0] + step]).buffer)[0];
    const difference = BigInt(candidate * 2 ** 160) * (1n << (BITS - 160n)) - exact;
    return [difference < 0n ? -difference : difference, candidate];
  };
  return [-1, 0, 1].map(distance).reduce((best, next) => (next[0] < best[0] ? next : best))[1];
}
