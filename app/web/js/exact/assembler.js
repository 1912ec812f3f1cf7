// A small assembler for WebAssembly with SIMD: enough for the kernels of the exact arithmetic.
//
// Code is a flat array of bytes. An operation takes the code of its operands, and returns the code that
// leaves its result on the stack: add(get(0), constant(4)). A function is written as
//
//   func("double", ["from", "to", "count"], { value: V128 }, (v) => [...])
//
// where v.from is the index of the parameter or local variable `from`. Parameters are i32.
// WebAssembly Core Specification 2.0, chapter 5.

export const I32 = 0x7f;
export const F32 = 0x7d;
export const V128 = 0x7b;

/** Encode an unsigned integer as LEB128. */
function unsigned(value) {
  const bytes = [];
  do {
    bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    value >>>= 7;
  } while (value);
  return bytes;
}

/** Encode a signed integer of 32 bits as LEB128. */
function signed(value) {
  const bytes = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    const last = (value === 0 && !(low & 0x40)) || (value === -1 && !!(low & 0x40));
    bytes.push(last ? low : low | 0x80);
    if (last) return bytes;
  }
}

const concat = (...codes) => codes.flat();

// --- variables and integers ---

export const get = (variable) => [0x20, ...unsigned(variable)];
export const set = (variable, value) => [...value, 0x21, ...unsigned(variable)];
export const constant = (value) => [0x41, ...signed(value)];
export const add = (a, b) => [...a, ...b, 0x6a];
export const multiply = (a, b) => [...a, ...b, 0x6c];
const subtract = (a, b) => [...a, ...b, 0x6b];
export const atLeast = (a, b) => [...a, ...b, 0x4e]; // i32.ge_s

/** Add the value of some code to a variable. */
export const increase = (variable, amount) => set(variable, add(get(variable), amount));

// --- control ---

/** Run the code as long as `count` is positive, and take `step` off `count` each time. */
export function countDown(count, step, body) {
  const smaller = set(count, subtract(get(count), constant(step)));
  return whileTrue([...get(count), ...constant(0), 0x4a], [...body, ...smaller]); // i32.gt_s
}

/** Run the code as long as the condition holds. */
export function whileTrue(condition, body) {
  return [0x02, 0x40, ...condition, 0x45, 0x0d, 0x00, 0x03, 0x40, ...body, ...condition, 0x0d, 0x00, 0x0b, 0x0b];
}

// --- vectors of 128 bits ---

const vector = (opcode) => [0xfd, ...unsigned(opcode)];
const unary = (opcode) => (a) => [...a, ...vector(opcode)];
const binary = (opcode) => (a, b) => [...a, ...b, ...vector(opcode)];
const memory = (opcode) => (address, offset = 0) => [...address, ...vector(opcode), 0, ...unsigned(offset)];

export const load = memory(0x00);
export const load32Splat = memory(0x09);
export const load64Splat = memory(0x0a);
export const load64Zero = memory(0x5d);
/** Load 32 bits into one lane of a vector. */
export const load32Lane = (address, value, lane) => [...address, ...value, ...vector(0x56), 0, 0, lane];
export const store = (address, value, offset = 0) => [...address, ...value, ...vector(0x0b), 0, ...unsigned(offset)];
/** Return 16 bytes of two vectors: byte i is byte bytes[i] of both, one after the other. */
export const shuffle = (a, b, bytes) => [...a, ...b, ...vector(0x0d), ...bytes];
export const select = (a, b, mask) => [...a, ...b, ...mask, ...vector(0x52)];
const bits = (bytes) => [...vector(0x0c), ...bytes];
export const zero = bits(new Array(16).fill(0));

export const i32x4 = {
  splat: unary(0x11),
  lane: (a, lane) => [...a, ...vector(0x1b), lane],
  add: binary(0xae),
  min: binary(0xb6),
  max: binary(0xb8),
  shiftLeft: (a, count) => [...a, ...constant(count), ...vector(0xab)],
  dot: binary(0xba),
  truncate: unary(0xf8),
};
export const i16x8 = { narrow: binary(0x85) };
export const f32x4 = {
  splat: unary(0x13),
  all: (value) => bits(new Uint8Array(new Float32Array(4).fill(value).buffer)),
  greater: binary(0x44),
  nearest: unary(0x6a),
  add: binary(0xe4),
  multiply: binary(0xe6),
  min: binary(0xea), // pmin and pmax: no value is NaN
  max: binary(0xeb),
  convert: unary(0xfa),
  demote: unary(0x5e),
};
export const f64x2 = {
  all: (value) => bits(new Uint8Array(new Float64Array(2).fill(value).buffer)),
  nearest: unary(0x94),
  add: binary(0xf0),
  multiply: binary(0xf2),
  min: binary(0xf6),
  max: binary(0xf7),
  promote: unary(0x5f),
};

// --- modules ---

/** Return a function: its name, its parameters, its local variables as {name: type}, and its code. */
export function func(name, parameters, locals, body) {
  const types = parameters.map((parameter) => (typeof parameter === "string" ? I32 : parameter[1]));
  const names = parameters.map((parameter) => (typeof parameter === "string" ? parameter : parameter[0]));
  const indices = Object.fromEntries([...names, ...Object.keys(locals)].map((each, i) => [each, i]));
  return { name, types, locals: Object.values(locals), code: concat(...body(indices)) };
}

const list = (items) => [...unsigned(items.length), ...items.flat()];
const section = (id, content) => [id, ...unsigned(content.length), ...content];
const text = (value) => list([...value].map((letter) => [letter.charCodeAt(0)]));

/** Return the bytes of a module that exports the functions, and imports its memory as page.memory. */
export function assemble(functions) {
  const bodies = functions.map(({ locals, code }) => {
    const body = [...list(locals.map((type) => [1, type])), ...code, 0x0b];
    return [...unsigned(body.length), ...body];
  });
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, list(functions.map(({ types }) => [0x60, ...list(types.map((type) => [type])), 0]))),
    ...section(2, list([[...text("page"), ...text("memory"), 2, 0, 1]])),
    ...section(3, list(functions.map((_, i) => unsigned(i)))),
    ...section(7, list(functions.map(({ name }, i) => [...text(name), 0, ...unsigned(i)]))),
    ...section(10, list(bodies)),
  ]);
}
