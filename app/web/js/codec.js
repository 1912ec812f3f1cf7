// Conversion between values and the short texts in an address.

/** Encode bytes as base64url without padding. */
export function toBase64Url(bytes) {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Encode bytes as base64. */
export function toBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

/** Decode base64 or base64url to bytes. Returns undefined if the text is neither. */
export function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** Encode a latent exactly, as base64url of little-endian float32: 4 bytes per dimension. */
export function packLatent(z) {
  const view = new DataView(new ArrayBuffer(4 * z.length));
  z.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return toBase64Url(new Uint8Array(view.buffer));
}

/** Decode the text of `packLatent`. Returns undefined if it is not a latent. */
export function unpackLatent(text) {
  const bytes = fromBase64(text);
  if (!bytes || bytes.length === 0 || bytes.length % 4) return undefined;
  const view = new DataView(bytes.buffer);
  const z = Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  return z.every(Number.isFinite) ? z : undefined;
}

// --- fields of an address ---
//
// A field is {initial, parse, format, accepts, misfit, instead, isPacked}.
//
//   parse(text)            returns a value, or undefined if the text is not valid
//   format(value)          returns the text; a value of null is left out of the address
//   accepts                the valid values in words, which complete the sentence `n must be ...`
//   misfit(value, model, catalogue, values)
//                          optional: returns why a model cannot have a valid value, in words that end
//                          the sentence `label=7 cannot be shown: ...`, or null if it can; `values` are
//                          those of all fields of the part
//   instead                optional: a sentence that says what is shown without the value, or a function
//                          that returns it for the values of the part. Without it, that is the initial value
//   isPacked               optional: true if nobody can read the text, so that no message repeats it

/** Create a field for an integer from `min` to `max`. */
export function natural(initial, min, max) {
  const parse = (text) => {
    const value = Number(text);
    return /^\d+$/.test(text) && value >= min && value <= max ? value : undefined;
  };
  return { initial, parse, format: String, accepts: `a whole number from ${min} to ${max}` };
}

export const seed = (initial) => natural(initial, 0, 2 ** 32 - 1);

/** Create a field for the number of a latent dimension, which may be null. */
export const dimension = (initial = null) => ({
  ...natural(initial, 0, 65_535),
  misfit: (value, model) => (value < model.latent ? null : `${model.ref} has no dimension ${value}, only 0 to ${model.latent - 1}.`),
  instead: "Another dimension is used instead.",
});

/** Create a field for a number from `min` to `max`. */
export function real(initial, min, max) {
  const parse = (text) => {
    const value = Number(text);
    return text.trim() !== "" && value >= min && value <= max ? value : undefined;
  };
  return { initial, parse, format: String, accepts: `a number from ${min} to ${max}` };
}

/** Create a field for two numbers, such as `0.5,-1.25`. */
export function pair(initial) {
  const parse = (text) => {
    const values = text.split(",").map(Number);
    return values.length === 2 && values.every(Number.isFinite) && !text.split(",").includes("") ? values : undefined;
  };
  return { initial, parse, format: (values) => values.join(","), accepts: "two numbers with a comma between them" };
}

/** Create a field for one of the given texts. */
export function choice(initial, values) {
  return { initial, parse: (text) => (values.includes(text) ? text : undefined), format: String, accepts: values.join(" or ") };
}

/** Create a field for any text. */
export const text = (initial = null) => ({ initial, parse: (value) => value, format: String, accepts: "a text" });

/** Create a field for a class of the model, which may be null. */
export const label = () => ({
  ...text(),
  misfit: (value, model) => {
    if (model.classes.includes(value)) return null;
    const classes = model.classes.length > 12 ? `${model.classes.slice(0, 12).join(", ")} and others` : model.classes.join(", ");
    return `${model.ref} has no class ${short(value)}${model.classes.length ? `, only ${classes}` : ""}.`;
  },
  instead: "Images of any class are shown instead.",
});

/** Create a field for a latent, an array of numbers. */
export const latent = (initial = null) => ({
  initial, parse: unpackLatent, format: packLatent, accepts: "numbers as this page packs them (float32 in base64url)", isPacked: true,
  misfit: (value, model) => (value.length === model.latent ? null : `a z of ${model.ref} has ${model.latent} numbers, and this one has ${value.length}.`),
});

/** Create a field for the bytes of a PNG. */
export const picture = (initial = null) => ({
  initial,
  parse: (text) => {
    const bytes = fromBase64(text);
    return bytes && bytes[0] === 0x89 && bytes[1] === 0x50 ? bytes : undefined;
  },
  format: toBase64Url,
  accepts: "a PNG in base64url",
  isPacked: true,
});

/** Create a field for one end of an interpolation: `seed:7` is {seed: 7}, `png:...` is {png: bytes}. */
export const end = (initial) => ({
  initial,
  parse: (text) => {
    const [kind, ...rest] = text.split(":");
    if (kind === "seed") {
      const value = seed(0).parse(rest.join(":"));
      return value === undefined ? undefined : { seed: value };
    }
    const png = kind === "png" ? picture().parse(rest.join(":")) : undefined;
    return png && { png };
  },
  format: (value) => (value.png ? `png:${toBase64Url(value.png)}` : `seed:${value.seed}`),
  accepts: "seed: and a whole number from 0 to 4294967295, or png: and a PNG in base64url",
});

/** Return a text of an address, shortened for a message. */
export const short = (value) => (String(value).length > 40 ? `${String(value).slice(0, 40)}…` : String(value));

/** Say that a text cannot be the value of a field, why, and what is shown instead. `values` are those of all fields of the part. */
export function replaced(name, text, field, values, why = `${name} must be ${field.accepts}.`) {
  const { initial, format, instead, isPacked } = field;
  const shown = typeof instead === "function" ? instead(values) : instead;
  const asked = isPacked ? name : `${name}=${short(text)}`;
  return `${asked} cannot be shown: ${why} ${shown ?? (initial === null ? "It was left out." : `${name}=${short(format(initial))} is used instead.`)}`;
}

/** Return true if two byte arrays are equal, or both are the same empty value. */
export const sameBytes = (a, b) => a === b || (!!a && !!b && a.length === b.length && a.every((byte, i) => byte === b[i]));
