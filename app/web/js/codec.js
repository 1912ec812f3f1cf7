// Values <-> the short text that an address can hold.

/** Bytes -> base64url without padding. */
export function toBase64Url(bytes) {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Bytes -> base64. */
export function toBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

/** base64 or base64url -> bytes; undefined where it is neither. */
export function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** A latent is float32 on the wire: 4 bytes a dimension, little-endian, exact. */
export function packLatent(z) {
  const view = new DataView(new ArrayBuffer(4 * z.length));
  z.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return toBase64Url(new Uint8Array(view.buffer));
}

export function unpackLatent(text) {
  const bytes = fromBase64(text);
  if (!bytes || bytes.length === 0 || bytes.length % 4) return undefined;
  const view = new DataView(bytes.buffer);
  const z = Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  return z.every(Number.isFinite) ? z : undefined;
}

// --- fields of an address: {initial, parse(text) -> value or undefined, format(value) -> text} ---

export function natural(initial, least, most) {
  const parse = (text) => {
    const value = Number(text);
    return /^\d+$/.test(text) && value >= least && value <= most ? value : undefined;
  };
  return { initial, parse, format: String };
}

export const seed = (initial) => natural(initial, 0, 2 ** 32 - 1);

export function real(initial, least, most) {
  const parse = (text) => {
    const value = Number(text);
    return text.trim() !== "" && value >= least && value <= most ? value : undefined;
  };
  return { initial, parse, format: String };
}

/** Two numbers, `0.5,-1.25`. */
export function pair(initial) {
  const parse = (given) => {
    const values = given.split(",").map(Number);
    return values.length === 2 && values.every(Number.isFinite) ? values : undefined;
  };
  return { initial, parse, format: (values) => values.join(",") };
}

export function choice(initial, values) {
  return { initial, parse: (text) => (values.includes(text) ? text : undefined), format: String };
}

/** Any text; null is left out of the address. */
export const text = (initial = null) => ({ initial, parse: (given) => given, format: String });

/** A latent: an array of numbers. */
export const latent = (initial = null) => ({ initial, parse: unpackLatent, format: packLatent });

/** The bytes of a PNG. */
export const picture = (initial = null) => ({
  initial,
  parse: (given) => {
    const bytes = fromBase64(given);
    return bytes && bytes[0] === 0x89 && bytes[1] === 0x50 ? bytes : undefined;
  },
  format: toBase64Url,
});

/** `seed:7` as {seed: 7}, `png:...` as {png: bytes}: one end of a walk. */
export const end = (initial) => ({
  initial,
  parse: (given) => {
    const [kind, ...rest] = given.split(":");
    if (kind === "seed") {
      const value = seed(0).parse(rest.join(":"));
      return value === undefined ? undefined : { seed: value };
    }
    const png = kind === "png" ? picture().parse(rest.join(":")) : undefined;
    return png && { png };
  },
  format: (value) => (value.png ? `png:${toBase64Url(value.png)}` : `seed:${value.seed}`),
});

/** Whether two byte arrays, or nothing, are the same. */
export const sameBytes = (a, b) => a === b || (!!a && !!b && a.length === b.length && a.every((byte, i) => byte === b[i]));
