// Functions of fixed-point numbers: integers in units of 2^-BITS, with errors of some units. They decide how
// a result is rounded when floating-point numbers cannot.
import { BITS } from "./rounding.js";

const ONE = 1n << BITS;
/** pi in units of 10^-62, in units of 2^-BITS. */
const PI = (314159265358979323846264338327950288419716939937510582097494459n << BITS) / 10n ** 62n;
export const TURN = 2n * PI;
/** Binary digits of the integer that a float64 is first scaled to. */
const SCALE = 150;

export const times = (a, b) => (a * b) >> BITS;
export const ratio = (a, b) => (a << BITS) / b;

/** Convert a float64. */
export const fixed = (value) => BigInt(Math.trunc(value * 2 ** SCALE)) << (BITS - BigInt(SCALE));

/** Return cos x, for x in radians, at most a few turns. */
export function cos(x) {
  const square = times(x, x);
  let sum = 0n;
  for (let term = ONE, n = 1n; term; n += 2n) {
    sum += term;
    term = -times(term, square) / (n * (n + 1n));
  }
  return sum;
}

export const sin = (x) => cos(x - PI / 2n);

/** Return the angle from 0 to pi with this cosine, by Newton's method from a float64. */
export function acos(cosine, guess) {
  let angle = fixed(guess);
  for (let i = 0; i < 3; i++) angle += ratio(cos(angle) - cosine, sin(angle));
  return angle;
}

/** Return the square root of a positive number, by Newton's method from a float64. */
export function sqrt(value) {
  let root = fixed(Math.sqrt(Number(value) * 2 ** -Number(BITS)));
  for (let i = 0; i < 3; i++) root = (root + ratio(value, root)) / 2n;
  return root;
}
