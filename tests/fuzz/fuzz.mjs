// Reads mutated addresses with the page's own state, and returns what went wrong.
import { choice, end, latent, natural, pair, picture, real, seed, text } from "/js/codec.js";
import { parametersOf } from "/js/png_text.js";
import { createStore } from "/js/state.js";

const FIELDS = {
  generate: { n: natural(16, 1, 256), seed: seed(1), temperature: real(1, 0, 10), label: text() },
  interpolate: { a: end({ seed: 3 }), b: end({ seed: 12 }), steps: natural(16, 2, 64), path: choice("slerp", ["linear", "slerp"]) },
  traverse: { z: latent(), seed: seed(5), at: pair([0, 0]), image: picture() },
};
const SEEDS = [
  "#generate?model=mnist@2&n=16&seed=7&temperature=0.5&label=3",
  "#interpolate?a=seed:3&b=png:iVBORw0KGgo&steps=8&path=linear",
  "#traverse?z=AACAPwAAAEAAAEBA&seed=5&at=0.5,-1&image=iVBORw0KGgo",
];
const WORDS = ["constructor", "__proto__", "prototype", "toString", "hasOwnProperty", "%", "%00", "%ff", "&", "=", "?", "#", "@", ":", ",", "seed:", "png:", "NaN", "Infinity", "1e999", "-1", "4294967296", "\u0000", "\ud800", "\u202e", "<script>"];

/** Return a function that draws whole numbers below a bound: mulberry32, which a seed repeats. */
function generatorOf(seed) {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % bound;
  };
}

function mutated(random) {
  let address = SEEDS[random(SEEDS.length)];
  for (let i = random(6); i >= 0; i -= 1) {
    const at = random(address.length + 1);
    const rest = at + random(8);
    const change = [
      () => address.slice(0, at) + WORDS[random(WORDS.length)] + address.slice(at),
      () => address.slice(0, at) + WORDS[random(WORDS.length)] + address.slice(rest),
      () => address.slice(0, at) + address.slice(rest),
      () => address.slice(0, at) + String.fromCharCode(random(random(2) ? 128 : 65536)) + address.slice(rest),
      () => address.slice(0, at) + SEEDS[random(SEEDS.length)].slice(random(40)),
    ][random(5)];
    address = change();
  }
  return address;
}

function isUnharmed(state) {
  const parts = Object.keys(FIELDS);
  return parts.includes(state.part)
    && Object.keys(state.values).join() === parts.join()
    && parts.every((part) => Object.keys(state.values[part]).join() === Object.keys(FIELDS[part]).join())
    && Object.keys(Object.prototype).length === 0 && Object.keys(Object).length === 0 && Object.keys(Function.prototype).length === 0;
}

/** Return a store whose parts are all loaded, so that reading an address changes it at once. */
async function openStore() {
  const parts = Object.keys(FIELDS);
  const store = createStore(parts, async (part) => ({ fields: FIELDS[part] }), "generate");
  for (const part of parts) await store.read(`#${part}`);
  store.read("#generate");
  return store;
}

/** Read `count` addresses, and return at most ten faults. What was read has to be what its own address says. */
export async function fuzz(count, seed) {
  const random = generatorOf(seed);
  const faults = [];
  history.pushState = () => {}; // browsers permit few entries a second
  for (let i = 0; i < count && faults.length < 10; i += 1) {
    const address = mutated(random);
    try {
      const store = await openStore();
      store.read(address);
      if (!isUnharmed(store.state)) faults.push(`harmed by ${JSON.stringify(address)}`);
      const again = await openStore();
      again.read(store.address());
      if (again.address() !== store.address()) faults.push(`${JSON.stringify(address)} becomes ${store.address()}, and then ${again.address()}`);
      if (random(4) === 0) {
        const part = [...WORDS, ...Object.keys(FIELDS)][random(WORDS.length + 3)];
        const value = [address, null, random(100), [], {}, [address]][random(6)];
        const restored = await store.restore({ part, values: JSON.parse(`{"n": ${JSON.stringify(value)}, "a": 1, "z": "x", "__proto__": {"n": 1}}`) });
        if (restored !== Object.keys(FIELDS).includes(part)) faults.push(`a PNG selects the part ${part}`);
        if (!isUnharmed(store.state)) faults.push(`harmed by ${JSON.stringify(value)} in a PNG`);
        store.address();
        parametersOf(Uint8Array.from(address, (letter) => letter.charCodeAt(0) % 256));
      }
    } catch (error) {
      faults.push(`${error.name}: ${error.message} for ${JSON.stringify(address)}`);
    }
  }
  return faults;
}
