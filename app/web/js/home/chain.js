// What the diagram computes: from an image to its bells, from bells to draws, from draws to pictures.
//
// Under a flow, the encoder describes z, and the prior N(0, I) belongs to u. Until the page decodes by itself,
// /augment draws from the bells of an image.
import { askJson } from "../api.js";
import { pngOf } from "../decoding.js";
import { levelsOf, preparedLevels } from "../levels.js";
import { standardNormal } from "../noise.js";
import { bitmapOf, pngBytes } from "../pictures.js";
import { byInformation, roll, sigmaOf } from "./gaussian.js";
import { START_SEED, startDrawing } from "./starts.js";

export const ROLLS = 10;
const SEEDS = 2 ** 32;
/** Images that the model makes to find out which dimensions of z are informative. */
const RANKING_IMAGES = 16;
/** How many of them the service is asked about at once, until the page computes by itself: a busy service refuses many. */
const RANKING_AT_ONCE = 2;

export const hasFlow = (model) => !!model.manifest.spec.prior;

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

/** Return the bells of the prior: {name, mu, sigma, centre, png}, where `name` is the space, "z" or "u". */
export function bellsOfPrior(model) {
  const zeros = new Array(model.latent).fill(0);
  return { name: hasFlow(model) ? "u" : "z", mu: zeros, sigma: new Array(model.latent).fill(1), centre: zeros, png: null };
}

/**
 * Return the bells of an image: {name, mu, logvar, sigma, centre, png}. `centre` is their mean as /decode takes
 * it. An encoding that is known saves a request.
 */
export async function bellsOfImage(model, decoder, png, { encoding = null, signal }) {
  const { mu, logvar, centre } = await (hasFlow(model) ? posteriorUnderFlow(model, decoder, png, signal) : posteriorOf(model, decoder, png, { encoding, signal }));
  return { name: "z", mu: Array.from(mu), logvar: Array.from(logvar), sigma: sigmaOf(Array.from(logvar)), centre: Array.from(centre), png };
}

async function posteriorOf(model, decoder, png, { encoding, signal }) {
  const { mu, logvar } = encoding ?? await decoder.encode(await preparedLevels(model, png, signal), { signal });
  return { mu, logvar, centre: mu };
}

async function posteriorUnderFlow(model, decoder, png, signal) {
  if (decoder.local) {
    const { mu, logvar } = await decoder.posterior(await preparedLevels(model, png, signal), { signal });
    return { mu, logvar, centre: (await decoder.toPrior([mu]))[0] };
  }
  const { mu, logvar, images: [{ z }] } = await meanVariantOf(model, png, signal);
  return { mu, logvar, centre: z };
}

/** Return variants of an image that the service draws: {mu, logvar, images: [{z, png}, ...]}, each z as /decode takes it. */
function variantsOf(model, png, query, signal) {
  return askJson({ path: "augment", query: { model: model.ref, preprocess: "none", ...query }, images: { image: png } }, { signal });
}

/** Return the variant in the middle of the bells, as variantsOf does. */
const meanVariantOf = (model, png, signal) => variantsOf(model, png, { n: 1, seed: 0, temperature: 0 }, signal);

/**
 * Draw from bells, and decode the draws. Returns what bells.js and ghosts.js show, and `latents` as /decode
 * takes them.
 */
export async function rollsOf(model, decoder, bells, { seed, sigma: scale, chosen }, signal) {
  const eps = Array.from({ length: ROLLS }, (_, i) => standardNormal((seed + i) % SEEDS, model.latent));
  const rolls = eps.map((noise) => roll(bells.mu, bells.sigma, scale, noise));
  const isPrior = !hasFlow(model) || bells.name === "u";
  const decode = hasFlow(model) && !isPrior ? decodeVariants : decodeRolls;
  return { ...bells, scale, eps, rolls, chosen, isPrior, ...(await decode(model, decoder, { bells, rolls, seed, scale }, signal)) };
}

/** Decode rolls that belong to the prior; under a flow, `mapped` are the z that the decoder reads, null if they are not known. */
async function decodeRolls(model, decoder, { rolls }, signal) {
  const mapped = hasFlow(model) && decoder.local ? await decoder.fromPrior(rolls) : null;
  return { mapped, latents: rolls, pictures: await decoder.decode(rolls, { signal }) };
}

/** Decode rolls of the bells of an image under a flow, which maps them to u. */
async function decodeVariants(model, decoder, { bells: { png }, rolls, seed, scale }, signal) {
  if (decoder.local) {
    const latents = await decoder.toPrior(rolls);
    return { mapped: latents, latents, pictures: await decoder.decode(latents, { signal }) };
  }
  const { images } = await variantsOf(model, png, { n: ROLLS, seed, temperature: scale }, signal);
  const latents = images.map(({ z }) => z);
  return { mapped: latents, latents, pictures: await Promise.all(images.map((image) => levelsOf(model, pngBytes(image.png)))) };
}

/**
 * Return the dimensions of z, the most informative first: measured by images of the model itself. The order
 * is the same whether the page computes by itself or asks the service.
 */
export async function rankedInZ(model, decoder, signal) {
  const latents = Array.from({ length: RANKING_IMAGES }, (_, i) => standardNormal(i, model.latent));
  const pictures = await decoder.decode(latents, { signal });
  const posterior = async (picture) => (decoder.local ? decoder.posterior(picture, { signal }) : meanVariantOf(model, await pngOf(model, picture), signal));
  const posteriors = [];
  while (posteriors.length < pictures.length) {
    posteriors.push(...await Promise.all(pictures.slice(posteriors.length, posteriors.length + RANKING_AT_ONCE).map(posterior)));
  }
  return byInformation(posteriors);
}
