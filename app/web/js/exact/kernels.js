// The inner loops of the exact arithmetic, as a WebAssembly module that is assembled when it is needed.
//
// Sums of a layer are added as 32-bit integers: an input is a 16-bit level, a weight has 16 bits, and
// every partial sum stays below 2^24, so no order of the additions changes the result.
//
// Addresses, steps and sizes are in bytes, counts are numbers of values, and channels come in groups of
// 8. A value is an array of float32, (pixels, channels).
import {
  add, assemble, atLeast, constant, countDown, f32x4, F32, f64x2, func, get, i16x8, I32, i32x4, increase,
  load, load32Lane, load32Splat, load64Splat, load64Zero, multiply, select, set, shuffle, store, V128, whileTrue, zero,
} from "./assembler.js";

/** Channels that a kernel computes together. */
export const GROUP = 8;
/** Latents are clamped to +-16 and rounded to multiples of 2^-20. */
const LATENT_LIMIT = 16;
const LATENT_UNIT = 2 ** 20;
/** Results of the first layer are clamped to +-2^22. */
const ROUNDED_LIMIT = 2 ** 22;

/** Copy rows of `count` float32 levels each into rows of 16-bit integers that are `step` apart. */
const pack = func("pack", ["from", "to", "rows", "count", "step"], { n: I32, at: I32 }, (v) => [
  countDown(v.rows, 1, [
    ...set(v.n, get(v.count)),
    ...set(v.at, get(v.to)),
    ...countDown(v.n, GROUP, [
      ...store(get(v.at), i16x8.narrow(i32x4.truncate(load(get(v.from))), i32x4.truncate(load(get(v.from), 16)))),
      ...increase(v.from, constant(32)),
      ...increase(v.at, constant(16)),
    ]),
    ...increase(v.to, get(v.step)),
  ]),
]);

/** Pixels that `layer` computes together. */
const TILE = 4;

/**
 * Compute a layer for a grid of output pixels: 2^-exponent (sum of weight * input + bias).
 *
 * The input of an output pixel is `lines` runs of `pairs` pairs of 16-bit levels, `line` apart; the
 * runs of the next pixel in a row begin `column` later, those of the next row `row` later. For each
 * group of channels the weights are in the order (lines, pairs, 8 channels, 2).
 */
const layer = func(
  "layer",
  ["from", "weight", "bias", "scale", "to", "rows", "columns", "row", "column", "lines", "pairs", "line", "toRow", "toColumn", "groups"],
  {
    r: I32, c: I32, l: I32, p: I32, source: I32, start: I32, target: I32, toStart: I32, pixel: I32, w: I32, x0: I32, x1: I32, x2: I32, x3: I32,
    a0: V128, a1: V128, b0: V128, b1: V128, c0: V128, c1: V128, d0: V128, d1: V128, x: V128, w0: V128, w1: V128,
  },
  (v) => {
    const sums = [[v.a0, v.a1], [v.b0, v.b1], [v.c0, v.c1], [v.d0, v.d1]];
    const inputs = [v.x0, v.x1, v.x2, v.x3];

    /** Compute `count` pixels that are side by side, and go on to the next. */
    const pixels = (count) => {
      const run = [0, 1, 2, 3].flatMap((pair) => [
        ...set(v.w0, load(get(v.w), 32 * pair)),
        ...set(v.w1, load(get(v.w), 32 * pair + 16)),
        ...inputs.slice(0, count).flatMap((input, i) => [
          ...set(v.x, load32Splat(get(input), 4 * pair)),
          ...set(sums[i][0], i32x4.add(get(sums[i][0]), i32x4.dot(get(v.x), get(v.w0)))),
          ...set(sums[i][1], i32x4.add(get(sums[i][1]), i32x4.dot(get(v.x), get(v.w1)))),
        ]),
      ]);
      const result = (sum, offset) => f32x4.multiply(f32x4.convert(get(sum)), load(get(v.scale), offset));
      return [
        ...sums.slice(0, count).flatMap(([low, high]) => [...set(low, load(get(v.bias))), ...set(high, load(get(v.bias), 16))]),
        ...set(v.w, get(v.weight)),
        ...set(v.l, get(v.lines)),
        ...set(v.start, get(v.pixel)),
        ...countDown(v.l, 1, [
          ...inputs.slice(0, count).flatMap((input, i) => set(input, i === 0 ? get(v.start) : add(get(inputs[i - 1]), get(v.column)))),
          ...set(v.p, get(v.pairs)),
          ...countDown(v.p, 4, [
            ...run,
            ...increase(v.w, constant(128)),
            ...inputs.slice(0, count).flatMap((input) => increase(input, constant(16))),
          ]),
          ...increase(v.start, get(v.line)),
        ]),
        ...sums.slice(0, count).flatMap(([low, high]) => [
          ...store(get(v.target), result(low, 0)),
          ...store(get(v.target), result(high, 16), 16),
          ...increase(v.target, get(v.toColumn)),
        ]),
        ...increase(v.pixel, multiply(get(v.column), constant(count))),
        ...increase(v.c, constant(-count)),
      ];
    };

    return [
      countDown(v.groups, 1, [
        ...set(v.r, get(v.rows)),
        ...set(v.source, get(v.from)),
        ...set(v.toStart, get(v.to)),
        ...countDown(v.r, 1, [
          ...set(v.c, get(v.columns)),
          ...set(v.pixel, get(v.source)),
          ...set(v.target, get(v.toStart)),
          ...whileTrue(atLeast(get(v.c), constant(TILE)), pixels(TILE)),
          ...whileTrue(atLeast(get(v.c), constant(1)), pixels(1)),
          ...increase(v.source, get(v.row)),
          ...increase(v.toStart, get(v.toRow)),
        ]),
        ...increase(v.weight, multiply(multiply(get(v.lines), get(v.pairs)), constant(32))),
        ...increase(v.bias, constant(32)),
        ...increase(v.scale, constant(32)),
        ...increase(v.to, constant(32)),
      ]),
    ];
  },
);

/** Round latents to integers in float64: rint(clamp(x, -16, 16) 2^20); `count` is even. */
const latents = func("latents", ["from", "to", "count"], {}, (v) => [
  countDown(v.count, 2, [
    ...store(get(v.to), f64x2.nearest(f64x2.multiply(
      f64x2.promote(f32x4.max(f32x4.all(-LATENT_LIMIT), f32x4.min(f32x4.all(LATENT_LIMIT), load64Zero(get(v.from))))),
      f64x2.all(LATENT_UNIT),
    ))),
    ...increase(v.from, constant(8)),
    ...increase(v.to, constant(16)),
  ]),
]);

/**
 * Compute the first layer of latents in float64, for `rows` of `inputs` rounded latents each.
 *
 * For each half group of channels the weights are in the order (inputs, 4 channels).
 */
const latentLayer = func(
  "latentLayer", ["from", "weight", "bias", "scale", "to", "rows", "inputs", "halves"],
  { h: I32, i: I32, w: I32, x: I32, b: I32, e: I32, value: V128, low: V128, high: V128 },
  (v) => {
    const rounded = (sum, offset) => f32x4.demote(f64x2.max(f64x2.all(-ROUNDED_LIMIT), f64x2.min(
      f64x2.all(ROUNDED_LIMIT), f64x2.nearest(f64x2.multiply(get(sum), load(get(v.e), offset))),
    )));
    const sum = (total, offset) => set(total, f64x2.add(get(total), f64x2.multiply(get(v.value), load(get(v.w), offset))));
    return [
      countDown(v.rows, 1, [
        ...set(v.h, get(v.halves)),
        ...set(v.w, get(v.weight)),
        ...set(v.b, get(v.bias)),
        ...set(v.e, get(v.scale)),
        ...countDown(v.h, 1, [
          ...set(v.low, load(get(v.b))),
          ...set(v.high, load(get(v.b), 16)),
          ...set(v.x, get(v.from)),
          ...set(v.i, get(v.inputs)),
          ...countDown(v.i, 1, [
            ...set(v.value, load64Splat(get(v.x))),
            ...sum(v.low, 0),
            ...sum(v.high, 16),
            ...increase(v.x, constant(8)),
            ...increase(v.w, constant(32)),
          ]),
          ...store(get(v.to), shuffle(rounded(v.low, 0), rounded(v.high, 16), [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23])),
          ...increase(v.b, constant(32)),
          ...increase(v.e, constant(32)),
          ...increase(v.to, constant(16)),
        ]),
        ...increase(v.from, multiply(get(v.inputs), constant(8))),
      ]),
    ];
  },
);

/** Return the function that replaces each vector of an array; `value(variables)` is the new vector. */
const each = (name, extra, locals, value) =>
  func(name, ["from", "to", "count", ...extra], locals, (v) => [
    countDown(v.count, 4, [
      ...store(get(v.to), value(v)),
      ...increase(v.from, constant(16)),
      ...increase(v.to, constant(16)),
    ]),
  ]);

/** Clamp to [low, high] and round. */
const levels = each("levels", [["low", F32], ["high", F32]], {}, (v) =>
  f32x4.nearest(f32x4.max(f32x4.splat(get(v.low)), f32x4.min(f32x4.splat(get(v.high)), load(get(v.from))))));

/** Add another array: one float32 addition each. */
const join = each("join", ["other"], {}, (v) => [
  ...f32x4.add(load(get(v.other)), load(get(v.from))),
  ...increase(v.other, constant(16)),
]);

/** Return the function that replaces each vector of (pixels, channels), with tables for each channel. */
const perChannel = (name, extra, locals, body) =>
  func(name, ["from", "to", "pixels", "channels", "scale", ...extra], { n: I32, c: I32, ...locals }, (v) => [
    countDown(v.pixels, 1, [
      ...set(v.n, get(v.channels)),
      ...set(v.c, constant(0)),
      ...countDown(v.n, 4, [
        ...body(v, add(get(v.scale), get(v.c))),
        ...increase(v.from, constant(16)),
        ...increase(v.to, constant(16)),
        ...increase(v.c, constant(16)),
      ]),
    ]),
  ]);

/** Multiply rounded and clamped values by `scale` and add `bias`. */
const affine = perChannel("affine", ["bias", ["limit", F32], ["low", F32]], {}, (v, scale) =>
  store(get(v.to), f32x4.add(
    f32x4.multiply(f32x4.max(f32x4.splat(get(v.low)), f32x4.min(f32x4.splat(get(v.limit)), f32x4.nearest(load(get(v.from))))), load(scale)),
    load(add(get(v.bias), get(v.c))),
  )));

/**
 * Compute min(rint(scale * silu(rint(x) unit)), highest).
 *
 * `table` holds SiLU at -reach to reach. Above reach it is x; below -reach the result is 0, as at -reach.
 */
const silu = perChannel("silu", ["table", "reach", ["unit", F32], ["highest", F32]], { x: V128, at: V128, value: V128 }, (v, scale) => [
  ...set(v.x, f32x4.nearest(load(get(v.from)))),
  ...set(v.at, i32x4.truncate(get(v.x))),
  ...set(v.at, i32x4.shiftLeft(i32x4.add(i32x4.splat(get(v.reach)), i32x4.max(
    i32x4.min(get(v.at), i32x4.splat(get(v.reach))), i32x4.splat(multiply(get(v.reach), constant(-1))),
  )), 2)),
  ...set(v.value, zero),
  ...[0, 1, 2, 3].flatMap((lane) => set(v.value, load32Lane(add(get(v.table), i32x4.lane(get(v.at), lane)), get(v.value), lane))),
  ...set(v.value, select(
    f32x4.multiply(get(v.x), f32x4.splat(get(v.unit))), get(v.value),
    f32x4.greater(get(v.x), f32x4.convert(i32x4.splat(get(v.reach)))),
  )),
  ...store(get(v.to), f32x4.min(f32x4.splat(get(v.highest)), f32x4.nearest(f32x4.multiply(get(v.value), load(scale))))),
]);

let compiled = null;

/** Return the kernels on a memory. Throws WebAssembly.CompileError if the browser has no SIMD. */
export function kernelsOn(memory) {
  compiled ??= new WebAssembly.Module(assemble([pack, layer, latents, latentLayer, levels, join, affine, silu]));
  return new WebAssembly.Instance(compiled, { page: { memory } }).exports;
}
