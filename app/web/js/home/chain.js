// What the diagram computes: from an image to its bells, from bells to draws, from draws to pictures.
//
// Under a flow, the encoder describes z, and the prior N(0, I) belongs to u. If the page decodes by itself,
// the bells of an image are those of z. Otherwise they are those of `/encode`, which describe u.
import { askJson } from "../api.js";
import { pngOf } from "../decoding.js";
import { bitmapOf, pixelsOf, pngBytes } from "../pictures.js";
import { byInformation, roll, sigmaOf } from "./gaussian.js";
import { standardNormal } from "./noise.js";
import { START_SEED, startDrawing } from "./starts.js";

export const ROLLS = 10;
const SEEDS = 2 ** 32;
/** Images that the model makes to find out which dimensions of z are informative. */
const RANKING_IMAGES = 16;

export const hasFlow = (model) => !!model.manifest.spec.prior;

/** Return the grey levels of a PNG in the model's size, as the decoder takes them. */
async function greyLevels({ width, height, channels }, png) {
  const { data } = pixelsOf(await bitmapOf(png));
  return Uint8ClampedArray.from({ length: width * height * channels }, (_, i) => data[4 * Math.floor(i / channels) + (i % channels)]);
}

/**
 * Return the image that the diagram begins with: {png, bitmap, encoding}. `encoding` is the answer of
 * /reconstruct, if the service prepared the image.
 */
export async function startOf(model, decoder, signal) {
  const drawing = startDrawing(model);
  if (!drawing) {
    const [made] = await decoder.decode([standardNormal(START_SEED, model.latent)], { signal });
    const png = await pngOf(model, made);
    return { png, bitmap: await bitmapOf(png) };
  }
  const images = { image: new Uint8Array(await (await drawing.convertToBlob({ type: "image/png" })).arrayBuffer()) };
  const answer = await askJson({ path: "reconstruct", query: { model: model.ref }, images }, { signal });
  const [encoding] = answer.images;
  return { png: pngBytes(encoding.input), bitmap: drawing, encoding };
}

/** Return the bells of the prior: {name, mu, sigma, png}, where `name` is the space, "z" or "u". */
export function bellsOfPrior(model) {
  return { name: hasFlow(model) ? "u" : "z", mu: new Array(model.latent).fill(0), sigma: new Array(model.latent).fill(1), png: null };
}

/** Return the bells of an image: {name, mu, logvar, sigma, png}. An encoding that is known saves a request. */
export async function bellsOfImage(model, decoder, png, { encoding = null, signal }) {
  const isBeforeFlow = hasFlow(model) && decoder.local;
  const { mu, logvar } = isBeforeFlow ? await decoder.posterior(await greyLevels(model, png), { signal })
    : encoding ?? await decoder.encode(await greyLevels(model, png), { signal });
  return { name: hasFlow(model) && !isBeforeFlow ? "u" : "z", mu: Array.from(mu), logvar: Array.from(logvar), sigma: sigmaOf(Array.from(logvar)), png };
}

/** Draw from bells, and decode the draws. Returns what bells.js and ghosts.js show, and `latents` as /decode takes them. */
export async function rollsOf(model, decoder, bells, { seed, sigma: scale, chosen }, signal) {
  const eps = Array.from({ length: ROLLS }, (_, i) => standardNormal((seed + i) % SEEDS, model.latent));
  const rolls = eps.map((noise) => roll(bells.mu, bells.sigma, scale, noise));
  const canMap = hasFlow(model) && decoder.local;
  const mapped = canMap ? (await (bells.name === "z" ? decoder.toPrior(rolls) : decoder.fromPrior(rolls))).map((row) => Array.from(row)) : null;
  const latents = canMap && bells.name === "z" ? mapped : rolls;
  const pictures = await decoder.decode(latents, { signal });
  const isPrior = !hasFlow(model) || bells.name === "u";
  return { ...bells, scale, eps, rolls, mapped, latents, pictures, chosen, isPrior };
}

/** Return the mean of the bells as /decode takes it. */
export async function centreOf(model, decoder, { name, mu }) {
  if (!hasFlow(model) || name === "u") return mu;
  const [u] = await decoder.toPrior([mu]);
  return Array.from(u);
}

/** Return the dimensions of z, the most informative first: measured by images of the model itself. */
export async function rankedInZ(model, decoder, signal) {
  const latents = Array.from({ length: RANKING_IMAGES }, (_, i) => standardNormal(i, model.latent));
  const pictures = await decoder.decode(latents, { signal });
  return byInformation(await Promise.all(pictures.map((one) => decoder.posterior(one, { signal }))));
}
