// Images at another temperature while its slider moves: decoded by the page if it can, and otherwise by
// the service, with one request at a time, the newest next.
import { askJson } from "../api.js";
import { toBase64 } from "../codec.js";
import { openDecoder, pngOf } from "../decoding.js";
import { oneAtATime } from "../live.js";
import { columnOf, requestsOf } from "./inputs.js";

/**
 * Return a function that shows columns (inputs.js) at a temperature: `preview({columns, values, temperature})`.
 * `values` are those that the columns were made with. `preview.drop()` discards what is in progress.
 */
export function temperaturePreview(show) {
  return oneAtATime(async ({ columns, values, temperature }, signal) => {
    const changed = { ...values, temperature };
    const decoders = await Promise.all(columns.map(({ version }) => openDecoder(version)));
    const areLocal = values.temperature > 0 && decoders.every(({ local }) => local);
    const next = await Promise.all(columns.map((column, i) => (areLocal ? decoded(column, decoders[i], values.temperature, changed, signal) : asked(column, changed, signal))));
    if (!signal.aborted) await show(next, changed);
  });
}

/** Scale the latents of a column, which are proportional to the temperature, and decode them. */
async function decoded({ version, shots }, decoder, before, values, signal) {
  const latents = shots.map(({ item }) => item.z.map((value) => (value * values.temperature) / before));
  const pictures = await decoder.decode(latents, { signal });
  const images = await Promise.all(pictures.map(async (picture, i) => ({ png: toBase64(await pngOf(version, picture)), z: latents[i], seed: shots[i].item.seed })));
  return columnOf({ images }, version, values);
}

async function asked({ version }, values, signal) {
  const [request] = requestsOf(values, [version]);
  return columnOf(await askJson(request, { signal }), version, values);
}
