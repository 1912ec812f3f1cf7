// The normal numbers of a seed, as the service draws them: the generator splitmix64-boxmuller-1. Each is the
// float32 nearest to the real number, as in model_store/arithmetic/normals.py.
import { cos, sin, sqrt, times, TURN } from "./exact/fixed_point.js";
import { BITS, exactLog, toFloat32 } from "./exact/rounding.js";

const WORD = 64;
const LOW = 0xffffffffn;
/** Allowed absolute error of a float64 result, as a multiple of the radius; 32 times the usual error. */
const ERROR = 2 ** -48;

const wrapped = (value) => BigInt.asUintN(WORD, value);

function mix64(state) {
  let x = wrapped((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = wrapped((x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  return x ^ (x >> 31n);
}

/** Return the first `count` numbers from N(0, 1) of a seed. They equal the z of `/generate` with that seed. */
export function standardNormal(seed, count) {
  const state = mix64(wrapped(BigInt(seed) * 0xd1342543de82ef95n + 0x5851f42d4c957f2dn));
  const numbers = [];
  for (let i = 1n; numbers.length < count; i++) numbers.push(...normalPair(mix64(wrapped(state + i * 0x9e3779b97f4a7c15n))));
  return numbers.slice(0, count);
}

/** Return the two normal numbers of a word of 64 bits. */
function normalPair(word) {
  const u = (Number(word >> 32n) + 1) * 2 ** -32;
  const radius = Math.sqrt(-2 * Math.log(u));
  const angle = Number(word & LOW) * (2 * Math.PI * 2 ** -32);
  const exactly = (circular) => () => times(sqrt(-2n * exactLog(u)), circular((TURN * (word & LOW)) >> 32n));
  return [toFloat32(radius * Math.cos(angle), radius * ERROR, exactly(cos)), toFloat32(radius * Math.sin(angle), radius * ERROR, exactly(sin))];
}
