// Read an exact network from the bytes of exact.safetensors.
//
//   {encode, decode, flow: [{kept, net}, ...], logScale}
//
// A function is a list of operations, as in model_store/arithmetic/program.py: an object with its `kind`
// and its fields. A field with an array is {data, shape}, in the type of the file.

const TYPES = {
  I16: Int16Array,
  I32: Int32Array,
  I64: BigInt64Array,
  F32: Float32Array,
};
const ARITHMETIC = "exact-1";

/** Say that a version, or this browser, cannot be used for the arithmetic. The message is a sentence. */
export class UnsupportedError extends Error {}

/** Read the tensors and the metadata of a safetensors file: {tensors: Map of name -> {data, shape}, metadata}. */
export function readSafetensors(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const contentAt = (from, to) => bytes.buffer.slice(bytes.byteOffset + start + from, bytes.byteOffset + start + to);
  const { __metadata__: metadata = {}, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const tensors = new Map();
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(entries)) {
    if (!Object.hasOwn(TYPES, dtype)) throw new UnsupportedError(`The tensor ${name} has the type ${dtype}.`);
    tensors.set(name, { data: new TYPES[dtype](contentAt(from, to)), shape });
  }
  return { tensors, metadata };
}

/** Read the network of a version. Throws UnsupportedError if it is of another arithmetic. */
export function readNetwork(bytes) {
  const { tensors, metadata } = readSafetensors(bytes);
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
