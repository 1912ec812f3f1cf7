// Read safetensors files.

const TYPES = {
  U8: Uint8Array,
  I8: Int8Array,
  I16: Int16Array,
  I32: Int32Array,
  I64: BigInt64Array,
  F32: Float32Array,
};

/** Say that a file, or this browser, cannot be used. The message is a sentence. */
export class UnsupportedError extends Error {}

/**
 * Read the tensors and the metadata of a file: {tensors: Map of name -> {data, shape}, metadata}. Throws
 * UnsupportedError for a tensor whose type is none of `types`, such as "I16".
 */
export function readSafetensors(bytes, types) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const contentAt = (from, to) => bytes.buffer.slice(bytes.byteOffset + start + from, bytes.byteOffset + start + to);
  const { __metadata__: metadata = {}, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const tensors = new Map();
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(entries)) {
    if (!types.includes(dtype)) throw new UnsupportedError(`The tensor ${name} has the type ${dtype}.`);
    tensors.set(name, { data: new TYPES[dtype](contentAt(from, to)), shape });
  }
  return { tensors, metadata };
}
