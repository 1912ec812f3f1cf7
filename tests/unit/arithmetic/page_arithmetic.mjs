// Run the page's arithmetic on Node: reads {calls: [{call, ...}, ...]} from stdin, and writes the results.
// Arrays travel as base64 of little-endian bytes.
import { readFileSync } from "node:fs";

const exact = new URL("../../../app/web/js/exact/", import.meta.url);
const load = (name) => import(new URL(name, exact));
const { readNetwork } = await load("file.js");
const { prepareModel } = await load("model.js");
const { Arena, BATCH, prepare } = await load("executor.js");
const { exactLog, log } = await load("rounding.js");
const { sha256 } = await load("sha256.js");
const { factorTable, sigmaOf } = await load("tables.js");

const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const floats = (text) => new Float32Array(bytes(text).buffer);
const packed = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
const pairs = (encodings) => [...encodings.map(({ mu }) => mu), ...encodings.map(({ logvar }) => logvar)].map(packed);

const models = new Map();

function modelOf({ file, spec }) {
  if (!models.has(file)) models.set(file, prepareModel(readNetwork(readFileSync(file)), spec));
  return models.get(file);
}

function pictures({ size }, text) {
  const levels = bytes(text);
  return Array.from({ length: levels.length / size }, (_, row) => levels.subarray(row * size, (row + 1) * size));
}

/** Run one function of a file on rows of inputs, and return its float32 results, row after row. */
function run({ file, name, shape, bound, input }) {
  const arena = new Arena();
  const { run, input: from, output: to } = prepare(arena, readNetwork(readFileSync(file))[name], shape, bound);
  const values = floats(input);
  const length = from.places.length;
  const rows = values.length / length;
  const result = new Float32Array(rows * to.places.length);
  for (let first = 0; first < rows; first += BATCH) {
    const count = Math.min(BATCH, rows - first);
    for (let row = 0; row < count; row++) {
      from.places.forEach((place, i) => (arena.floats[from.at + row * from.size + place] = values[(first + row) * length + i]));
    }
    run(count);
    for (let row = 0; row < count; row++) {
      to.places.forEach((place, i) => (result[(first + row) * to.places.length + i] = arena.floats[to.at + row * to.size + place] + 0));
    }
  }
  return packed(result);
}

const CALLS = {
  decode: (call) => packed(modelOf(call).decode(floats(call.u))),
  encode: (call) => pairs(pictures(modelOf(call), call.levels).map(modelOf(call).encode)),
  posterior: (call) => pairs(pictures(modelOf(call), call.levels).map(modelOf(call).posterior)),
  to_u: (call) => packed(modelOf(call).toU(floats(call.u))),
  to_z: (call) => packed(modelOf(call).toZ(floats(call.u))),
  log_likelihood: (call) => packed(modelOf(call).logLikelihood(bytes(call.levels), floats(call.u))),
  hashes: (call) => modelOf(call).hashes(),
  run,
  factors: ({ values }) => packed(floats(values).map(factorTable())),
  sigmas: ({ values }) => packed(floats(values).map(sigmaOf)),
  logs: ({ values }) => packed(Float32Array.from(new Float64Array(bytes(values).buffer), log)),
  exact_logs: ({ values }) => Array.from(new Float64Array(bytes(values).buffer), (value) => String(exactLog(value))),
  sha256: ({ content }) => sha256(bytes(content)),
};

/** Return the result of a call, or the name and message of its error. */
function answer(call) {
  try {
    return CALLS[call.call](call);
  } catch (error) {
    return { error: `${error.constructor.name}: ${error.message}` };
  }
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).calls.map(answer)));
