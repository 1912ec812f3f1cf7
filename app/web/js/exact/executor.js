// Run a function of an exact network: its operations become calls of the kernels on one memory.
//
// A value is (rows, pixels, channels) in float32, with the channels filled up to a multiple of 8. Outside
// of this module, arrays are in the order of the specification: (rows, channels, height, width).
import { UnsupportedError } from "../safetensors.js";
import { GROUP, kernelsOn } from "./kernels.js";
import { powerOfTwo } from "./rounding.js";
import { silu } from "./tables.js";

/** Rows that a function computes at once. */
export const BATCH = 8;
/** The minimum of SiLU is above minus this. */
const SILU_DEPTH = 0.2785;
/** Largest level that the kernels hold. */
const MAX_LEVEL = 2 ** 15 - 1;
const PAGE = 2 ** 16;
/** Pages by which a memory grows at least. */
const GROWTH = 16;

const filledUp = (channels) => Math.ceil(channels / GROUP) * GROUP;

/** The memory of the kernels. Space is taken while functions are prepared, and never while they run. */
export class Arena {
  #end = 16;
  #spare = [];
  #tables = new Map();

  constructor() {
    this.memory = new WebAssembly.Memory({ initial: 1 });
    this.kernels = kernelsOn(this.memory);
    this.floats = new Float32Array(this.memory.buffer);
  }

  /** Return the address of `bytes` zeros. */
  take(bytes) {
    const at = this.#end;
    this.#end += Math.ceil(bytes / 16) * 16;
    const missing = Math.ceil((this.#end + 16 - this.memory.buffer.byteLength) / PAGE);
    if (missing > 0) {
      this.memory.grow(Math.max(missing, GROWTH));
      this.floats = new Float32Array(this.memory.buffer);
    }
    return at;
  }

  /** Return {at, bytes}: space for values in between, which may hold anything. */
  borrow(bytes) {
    const i = this.#spare.findIndex((space) => space.bytes >= bytes);
    return i < 0 ? { at: this.take(bytes), bytes } : this.#spare.splice(i, 1)[0];
  }

  giveBack(space) {
    this.#spare.push(space);
    this.#spare.sort((a, b) => a.bytes - b.bytes);
  }

  /** Copy a typed array to the memory and return its address. */
  put(array) {
    const at = this.take(array.byteLength);
    new Uint8Array(this.memory.buffer).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
    return at;
  }

  /** Return {at, reach} of the table of SiLU for inputs in units of 2^-exponent. */
  siluTable(exponent) {
    if (!this.#tables.has(exponent)) {
      const { values, reach } = silu(exponent);
      this.#tables.set(exponent, { at: this.put(values), reach });
    }
    return this.#tables.get(exponent);
  }
}

/** Return how a value of a shape (channels,) or (channels, height, width) is stored. */
function layoutOf(shape) {
  const [channels, height = 1, width = 1] = shape;
  const pixels = height * width;
  const filled = filledUp(channels);
  return { shape, channels, height, width, pixels, filled, size: pixels * filled, bytes: 4 * pixels * filled };
}

/** Return where each number of a value is stored, in the order of the specification. */
function placesOf({ channels, pixels, filled }) {
  return Int32Array.from({ length: channels * pixels }, (_, i) => (i % pixels) * filled + Math.floor(i / pixels));
}

/**
 * Prepare a function for inputs of a shape. Returns
 *
 *   run(rows)                computes at most BATCH rows
 *   input, output            {at, size, places}: the floats of the arena at which row 0 begins, the
 *                            number of floats of a row, and the place of each number in it
 */
export function prepare(arena, operations, shape, bound = null) {
  const layout = layoutOf(shape);
  const first = { layout, bound, space: { at: arena.take(BATCH * layout.bytes) }, kept: true };
  const steps = [];
  let [value, forked] = [first, null];
  const release = (old) => old.space && !old.kept && arena.giveBack(old.space);

  operations.forEach((operation, i) => {
    if (operation.kind === "fork") {
      forked = value;
      value = { ...value, kept: true };
      return;
    }
    if (operation.kind === "latent_dense" && i > 0) throw new UnsupportedError("Latents enter a function in its middle.");
    const { step, result } = PREPARE[operation.kind](arena, operation, value, forked);
    steps.push(step);
    if (result.space !== value.space) release(value);
    if (operation.kind === "join") {
      if (forked !== first) arena.giveBack(forked.space);
      forked = null;
    }
    value = result;
  });
  release(value);

  const end = (each) => ({ at: each.space.at / 4, size: each.layout.size, places: placesOf(each.layout) });
  return {
    run(rows) {
      for (const step of steps) step(rows);
    },
    input: end(first),
    output: end(value),
  };
}

// --- one function for each operation: (arena, operation, value, forked) -> {step, result} ---

const PREPARE = { latent_dense, dense, convolution, deconvolution, affine, relu_levels, silu_levels, reshape, join };

const newValue = (arena, shape, bound = null) => {
  const layout = layoutOf(shape);
  return { layout, bound, space: arena.borrow(BATCH * layout.bytes), kept: false };
};

/** Return where the result of an operation on single numbers goes: over its input, unless that is needed later. */
const over = (arena, value, bound = null) => (value.kept ? newValue(arena, value.layout.shape, bound) : { ...value, bound });

function latent_dense(arena, { weight, bias, exponent }, { layout, space }) {
  const [outs, inputs] = weight.shape;
  const result = newValue(arena, [outs]);
  const { filled } = result.layout;
  const weights = new Float64Array(filled * layout.filled);
  for (let o = 0; o < outs; o++) {
    for (let i = 0; i < inputs; i++) weights[4 * (Math.floor(o / 4) * layout.filled + i) + (o % 4)] = weight.data[o * inputs + i];
  }
  const fill = (numbers) => arena.put(Float64Array.from({ length: filled }, (_, o) => (o < outs ? numbers(o) : 0)));
  const [w, b, s] = [arena.put(weights), fill((o) => Number(bias.data[o])), fill((o) => powerOfTwo(-exponent.data[o]))];
  const rounded = arena.take(8 * BATCH * layout.filled);
  const { latents, latentLayer } = arena.kernels;
  const step = (rows) => {
    latents(space.at, rounded, rows * layout.filled);
    latentLayer(rounded, w, b, s, result.space.at, rows, layout.filled, filled / 4);
  };
  return { step, result };
}

/**
 * Put the weights of a layer into the order of the kernel: (groups, lines, pairs, 8 channels, 2).
 * `weightAt(out, line, place)` is the weight of input `place` of a line.
 */
function putWeights(arena, outs, lines, run, weightAt) {
  const groups = filledUp(outs) / GROUP;
  const weights = new Int16Array(groups * lines * run * GROUP);
  for (let o = 0; o < outs; o++) {
    const group = Math.floor(o / GROUP) * lines * run * GROUP;
    for (let l = 0; l < lines; l++) {
      for (let i = 0; i < run; i++) {
        weights[group + (l * run + (i & ~1)) * GROUP + 2 * (o % GROUP) + (i & 1)] = weightAt(o, l, i);
      }
    }
  }
  return arena.put(weights);
}

function putBiasAndScale(arena, { bias, exponent }) {
  const filled = filledUp(bias.data.length);
  const biases = new Int32Array(filled);
  biases.set(bias.data);
  const scales = Float32Array.from({ length: filled }, (_, o) => (o < exponent.data.length ? powerOfTwo(-exponent.data[o]) : 0));
  return [arena.put(biases), arena.put(scales)];
}

function checkLevels({ bound }) {
  if (bound === null || bound > MAX_LEVEL) throw new UnsupportedError("A layer has inputs of more than 16 bits.");
}

function dense(arena, operation, value) {
  checkLevels(value);
  const { layout, space } = value;
  const [outs, inputs] = operation.weight.shape;
  const { data } = operation.weight;
  const result = newValue(arena, [outs]);
  const weights = putWeights(arena, outs, 1, layout.filled, (o, _, i) => (i < inputs ? data[o * inputs + i] : 0));
  const [bias, scale] = putBiasAndScale(arena, operation);
  const packed = arena.borrow(2 * BATCH * layout.filled);
  arena.giveBack(packed);
  const { pack, layer } = arena.kernels;
  const step = (rows) => {
    pack(space.at, packed.at, 1, rows * layout.filled, 0);
    layer(packed.at, weights, bias, scale, result.space.at, 1, rows, 0, 2 * layout.filled, 1, layout.filled / 2, 0, 0, result.layout.bytes, result.layout.filled / GROUP);
  };
  return { step, result };
}

/** Return {at, line, image, write(rows)}: levels as 16-bit integers, with zeros before and after the pixels of both axes. */
function bordered(arena, { layout, space }, before, after) {
  const { height, width, filled, bytes } = layout;
  const line = 2 * (before + width + after) * filled;
  const image = (before + height + after) * line;
  const at = arena.take(BATCH * image);
  const { pack } = arena.kernels;
  const write = (rows) => {
    for (let row = 0; row < rows; row++) {
      pack(space.at + row * bytes, at + row * image + before * line + 2 * before * filled, height, width * filled, line);
    }
  };
  return { at, line, image, write };
}

function convolution(arena, operation, value) {
  checkLevels(value);
  const { layout } = value;
  const { weight: { data, shape: [outs, ins, kernel] }, stride, padding } = operation;
  const length = (size) => Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const result = newValue(arena, [outs, length(layout.height), length(layout.width)]);
  const run = kernel * layout.filled;
  const weights = putWeights(arena, outs, kernel, run, (o, l, i) => {
    const [k, c] = [Math.floor(i / layout.filled), i % layout.filled];
    return c < ins ? data[((o * ins + c) * kernel + l) * kernel + k] : 0;
  });
  const [bias, scale] = putBiasAndScale(arena, operation);
  const source = bordered(arena, value, padding, padding);
  const { height, width, filled, bytes } = result.layout;
  const { layer } = arena.kernels;
  const step = (rows) => {
    source.write(rows);
    for (let row = 0; row < rows; row++) {
      layer(
        source.at + row * source.image, weights, bias, scale, result.space.at + row * bytes, height, width,
        stride * source.line, 2 * stride * layout.filled, kernel, run / 2, source.line, 4 * width * filled, 4 * filled, filled / GROUP,
      );
    }
  };
  return { step, result };
}

/**
 * Return the phases of one axis of a transposed convolution: [{first, count, taps, kernel, start}, ...].
 *
 * Outputs first, first + stride, ... are sums over `taps` inputs side by side, of which the first one is
 * `start` for the first output; kernel(t) is the place in the kernel that input t meets.
 */
function phasesOf(size, kernel, stride, padding) {
  return Array.from({ length: stride }, (_, first) => {
    const phase = (first + padding) % stride;
    const taps = Math.max(0, Math.ceil((kernel - phase) / stride));
    return {
      first,
      count: Math.ceil((size - first) / stride),
      taps,
      kernel: (t) => phase + (taps - 1 - t) * stride,
      start: (first + padding - phase) / stride - (taps - 1),
    };
  }).filter(({ count }) => count > 0);
}

function deconvolution(arena, operation, value) {
  checkLevels(value);
  const { layout } = value;
  const { weight: { data, shape: [ins, outs, kernel] }, stride, padding, output_padding: [below, beside] } = operation;
  const length = (size, more) => (size - 1) * stride + kernel - 2 * padding + more;
  const result = newValue(arena, [outs, length(layout.height, below), length(layout.width, beside)]);
  const { height, width, filled, bytes } = result.layout;
  const [down, across] = [phasesOf(height, kernel, stride, padding), phasesOf(width, kernel, stride, padding)];
  const needed = [[down, layout.height], [across, layout.width]].flatMap(([phases, size]) =>
    phases.map(({ start, taps, count }) => [-start, start + count - 1 + taps - size]));
  const before = Math.max(0, ...needed.map(([least]) => least));
  const after = Math.max(0, ...needed.map(([, most]) => most));
  const source = bordered(arena, value, before, after);
  const [bias, scale] = putBiasAndScale(arena, operation);

  const phases = down.flatMap((y) => across.map((x) => {
    const run = x.taps * layout.filled;
    const weights = putWeights(arena, outs, y.taps, run, (o, l, i) => {
      const [k, c] = [Math.floor(i / layout.filled), i % layout.filled];
      return c < ins ? data[((c * outs + o) * kernel + y.kernel(l)) * kernel + x.kernel(k)] : 0;
    });
    const from = source.at + (before + y.start) * source.line + 2 * (before + x.start) * layout.filled;
    const to = 4 * (y.first * width + x.first) * filled;
    return { weights, from, to, rows: y.count, columns: x.count, lines: y.taps, pairs: run / 2 };
  }));
  const { layer } = arena.kernels;
  const step = (rows) => {
    source.write(rows);
    for (let row = 0; row < rows; row++) {
      for (const phase of phases) {
        layer(
          phase.from + row * source.image, phase.weights, bias, scale, result.space.at + row * bytes + phase.to, phase.rows, phase.columns,
          source.line, 2 * layout.filled, phase.lines, phase.pairs, source.line, 4 * stride * width * filled, 4 * stride * filled, filled / GROUP,
        );
      }
    }
  };
  return { step, result };
}

function affine(arena, { scale, bias, exponent, limit }, value) {
  const { layout, space } = value;
  const result = over(arena, value);
  const scaled = ({ data }) => arena.put(Float32Array.from({ length: layout.filled }, (_, c) => (c < layout.channels ? data[c] * powerOfTwo(-exponent.data[c]) : 0)));
  const [factors, offsets] = [scaled(scale), scaled(bias)];
  const kernel = arena.kernels.affine;
  return { result, step: (rows) => kernel(space.at, result.space.at, rows * layout.pixels, layout.filled, factors, offsets, limit, -limit) };
}

function relu_levels(arena, { highest }, value) {
  const { layout, space } = value;
  const result = over(arena, value, highest);
  const { levels } = arena.kernels;
  return { result, step: (rows) => levels(space.at, result.space.at, rows * layout.size, 0, highest) };
}

function silu_levels(arena, { scale, highest, exponent }, value) {
  const { layout, space } = value;
  const depth = Math.ceil(SILU_DEPTH * scale.data.reduce((a, b) => Math.max(a, b)));
  const result = over(arena, value, Math.max(highest, depth));
  const scales = arena.put(Float32Array.from({ length: layout.filled }, (_, c) => (c < layout.channels ? scale.data[c] : 0)));
  const { at, reach } = arena.siluTable(exponent);
  const kernel = arena.kernels.silu;
  return { result, step: (rows) => kernel(space.at, result.space.at, rows * layout.pixels, layout.filled, scales, at, reach, powerOfTwo(-exponent), highest) };
}

function reshape(arena, { shape }, value) {
  const { layout, space, bound } = value;
  const result = newValue(arena, shape, bound);
  const [from, to] = [placesOf(layout), placesOf(result.layout)];
  const step = (rows) => {
    const { floats } = arena;
    for (let row = 0; row < rows; row++) {
      const [source, target] = [space.at / 4 + row * layout.size, result.space.at / 4 + row * result.layout.size];
      for (let i = 0; i < from.length; i++) floats[target + to[i]] = floats[source + from[i]];
    }
  };
  return { step, result };
}

function join(arena, _, value, forked) {
  const result = over(arena, value);
  const kernel = arena.kernels.join;
  return { result, step: (rows) => kernel(value.space.at, result.space.at, rows * value.layout.size, forked.space.at) };
}
