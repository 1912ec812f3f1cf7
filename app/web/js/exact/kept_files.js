// The files of exact versions that are kept on the disk of the visitor, by their checksum. A file of a source
// is {address, sha256} (see worker.js).

/** Files that are kept. */
const MAX_FILES = 16;
const CACHE = "zserve-exact";

// Browsers offer `caches` to pages that came by HTTPS or from this machine; others have the HTTP cache.
const open = () => globalThis.caches?.open(CACHE).catch(() => undefined);
const keyOf = ({ address, sha256 }) => `${address}?sha256=${sha256}`;

/** Return true if all files of a source are kept. */
export async function isKept({ files }) {
  const cache = await open();
  const kept = await Promise.all(files.map((file) => cache?.match(keyOf(file))));
  return kept.every(Boolean);
}

/** Return the response with a kept file, or undefined. */
export const keptFile = async (file) => (await open())?.match(keyOf(file));

/** Keep the bytes of a file, and the most recent ones of the others. */
export async function keepFile(file, bytes) {
  const cache = await open();
  try {
    await cache?.put(keyOf(file), new Response(bytes));
    const keys = (await cache?.keys()) ?? [];
    for (const old of keys.slice(0, Math.max(0, keys.length - MAX_FILES))) await cache.delete(old);
  } catch {
    // The disk of the visitor is full: the file is fetched again next time.
  }
}

/** Delete a file that is not the one that was published. */
export const forgetFile = async (file) => (await open())?.delete(keyOf(file));
