// The normal numbers of a seed, as the service draws them: the generator splitmix64-boxmuller-1.

const WORD = 64;
const LOW = 0xffffffffn;

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
  for (let i = 1n; numbers.length < count; i++) {
    const word = mix64(wrapped(state + i * 0x9e3779b97f4a7c15n));
    const radius = Math.sqrt(-2 * Math.log((Number(word >> 32n) + 1) * 2 ** -32));
    const angle = Number(word & LOW) * (2 * Math.PI * 2 ** -32);
    numbers.push(Math.fround(radius * Math.cos(angle)), Math.fround(radius * Math.sin(angle)));
  }
  return numbers.slice(0, count);
}
