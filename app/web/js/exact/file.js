// Read an exact network from the bytes of exact.safetensors.
//
//   {encode, decode, flow: [{kept, net}, ...], logScale}
//
// A function is a list of operations, as in model_store/arithmetic/program.py: an object with its `kind`
// and its fields. A field with an array is {data, shape}, in the type of the file.

import { readSafetensors, UnsupportedError } from "../safetensors.js";

const TYPES = ["I16", "I32", "I64", "F32"];
const ARITHMETIC = "exact-1";

/** Read the network of a version. Throws UnsupportedError if it is of another arithmetic. */
export function readNetwork(bytes) {
  const { tensors, metadata } = readSafetensors(bytes, TYPES);
  const [arithmetic] = String(metadata.program).split(" ", 1);
  if (arithmetic !== ARITHMETIC) throw new UnsupportedError(`The page does not know the arithmetic ${arithmetic}.`);
  const program = JSON.parse(metadata.program.slice(arithmetic.length));
  const operations = (name, entries) =>
    entries.map((entry, i) => ({ ...entry, ...arraysAt(tensors, `${name}.${i}.`) }));
  return {
    encode: operations("encode", program.encode),
    decode: operations("decode", program.decode),
    flow: program.flow.map(({ kept, net }, i) => ({ kept, net: operations(`flow.${i}`, net) })),
    logScale: tensors.get("log_scale")?.data ?? null,
  };
}

function arraysAt(tensors, prefix) {
  const arrays = {};
  for (const name of ["weight", "bias", "exponent", "scale"]) {
    if (tensors.has(prefix + name)) arrays[name] = tensors.get(prefix + name);
  }
  return arrays;
}
