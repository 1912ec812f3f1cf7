// Files to save. If the service cannot be reached, the page makes them from what it has.
import { ask } from "./api.js";

/**
 * Return the file that answers a request (see request.js), as a Blob.
 *
 * Without the service it is the PNG of one image, `png` if that is passed, or the picture of the single
 * latent in the request if the page can decode it. Its pixels are the service's; the parameters that the
 * service writes into its files are missing.
 */
export async function fileOf(request, { png, model } = {}) {
  try {
    return await (await ask(request, png ? { retries: 0 } : {})).blob();
  } catch (error) {
    const bytes = error.status === 0 ? png ?? (await pictureOf(request, model).catch(() => undefined)) : undefined;
    if (!bytes) throw error;
    return new Blob([bytes], { type: "image/png" });
  }
}

/** Decode the single latent of a request for /decode in the page. Returns undefined if it cannot. */
async function pictureOf({ path, json }, model) {
  if (path !== "decode" || json?.z.length !== 1 || !model) return undefined;
  const { openDecoder, pngOf } = await import("./decoding.js"); // It is there if the page can decode.
  const decoder = await openDecoder(model);
  return decoder.local ? pngOf(model, (await decoder.decode(json.z))[0]) : undefined;
}
