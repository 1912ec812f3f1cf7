// The `parameters` text chunk that the service writes into its PNGs.

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** Return the JSON object in the `parameters` chunk of a PNG, or null if there is none. W3C PNG, section 11.3.3. */
export function parametersOf(bytes) {
  if (!SIGNATURE.every((byte, i) => bytes[i] === byte)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const latin = new TextDecoder("latin1");
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = latin.decode(bytes.subarray(at + 4, at + 8));
    if (kind === "tEXt") {
      const content = latin.decode(bytes.subarray(at + 8, at + 8 + length));
      const [key, text] = content.split("\0");
      if (key === "parameters") {
        try {
          return JSON.parse(text);
        } catch {
          return null;
        }
      }
    }
    if (kind === "IEND") return null;
    at += 12 + length;
  }
  return null;
}
