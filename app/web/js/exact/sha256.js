// SHA-256, FIPS 180-4. (The browser's own is missing on pages that came by plain HTTP from another machine.)

/** Return the first `count` prime numbers. */
function primes(count) {
  const all = [];
  for (let n = 2; all.length < count; n++) if (all.every((prime) => n % prime)) all.push(n);
  return all;
}

/** Return the first 32 bits of the fraction of a root of each prime. The roots are rounded to 53 bits, of which at most 9 are before the point. */
const fractions = (count, root) => Int32Array.from(primes(count), (prime) => (root(prime) % 1) * 2 ** 32);

const ROUNDS = fractions(64, Math.cbrt);
const START = fractions(8, Math.sqrt);

const rotate = (x, n) => (x >>> n) | (x << (32 - n));

/** Add a block of 64 bytes, which begins at `at`, to the state. */
function compress(state, view, at, words) {
  for (let i = 0; i < 16; i++) words[i] = view.getInt32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const [low, high] = [words[i - 15], words[i - 2]];
    const s0 = rotate(low, 7) ^ rotate(low, 18) ^ (low >>> 3);
    const s1 = rotate(high, 17) ^ rotate(high, 19) ^ (high >>> 10);
    words[i] = words[i - 16] + s0 + words[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const t1 = (h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + ROUNDS[i] + words[i]) | 0;
    const t2 = ((rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e] = [g, f, e, (d + t1) | 0];
    [d, c, b, a] = [c, b, a, (t1 + t2) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((value, i) => (state[i] += value));
}

/** Return the SHA-256 of bytes in hexadecimal. */
export function sha256(bytes) {
  const state = START.slice();
  const words = new Int32Array(64);
  const whole = bytes.length - (bytes.length % 64);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < whole; at += 64) compress(state, view, at, words);

  const rest = new Uint8Array(bytes.length % 64 < 56 ? 64 : 128);
  rest.set(bytes.subarray(whole));
  rest[bytes.length % 64] = 0x80;
  const end = new DataView(rest.buffer);
  end.setBigUint64(rest.length - 8, 8n * BigInt(bytes.length));
  for (let at = 0; at < rest.length; at += 64) compress(state, end, at, words);
  return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}
