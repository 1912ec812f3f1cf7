// The models of the service. The description of each version is loaded once.
import { get, Problem } from "./api.js";
import { datasetName } from "./model_words.js";
import { inWords } from "./sample_quality.js";

/** A latent dimension with a smaller KL (nats) is dead: it carries no information about the image. */
const DEAD_BELOW_NATS = 0.01;

/** Load the list of models. Returns {models, reference(text), version(reference)}. */
export async function openCatalogue() {
  const { models } = await get("models?metrics=false");
  const loading = new Map();
  if (!models.length) throw new Problem({ detail: "There is no model in the store yet.", remedy: "train one with: make train", isFinal: false });
  const standard = models.find((model) => model.default) ?? models[0];

  /** Resolve mnist, mnist@production or mnist@2 to a version, such as `mnist@2`. Throws Problem if it does not exist. */
  function reference(text) {
    if (!text) return `${standard.name}@${standard.version}`;
    const [name, which = ""] = text.split("@");
    const model = models.find((one) => one.name === name);
    if (!model) {
      throw new Problem({ detail: `There is no model named ${name}.`, remedy: `choose one of ${models.map((one) => one.name).join(", ")}` });
    }
    const version = which === "" ? model.version : Object.hasOwn(model.aliases, which) ? model.aliases[which] : Number(which);
    if (!model.versions.includes(version)) {
      throw new Problem({ detail: `${name} has no version ${which}.`, remedy: `choose one of ${model.versions.join(", ")}` });
    }
    return `${name}@${version}`;
  }

  /** Return a promise of the description of a version (see `describe`). */
  function version(ref) {
    if (!loading.has(ref)) {
      const description = get(`models/${ref.replace("@", "/")}`).then((document) => describe(ref, document));
      description.catch(() => loading.delete(ref));
      loading.set(ref, description);
    }
    return loading.get(ref);
  }

  return { models, reference, version };
}

/** Return the checksum and size of what a version computes with: exact integers, or float weights. */
export function weightsFile({ files }) {
  return files["exact.safetensors"] ?? files["weights.safetensors"];
}

/**
 * Return what the page needs to know about a version. Besides the answer of the service (`manifest`,
 * `card`, `figures`, `aliases`):
 *
 *   ref                       "name@version"
 *   channels, height, width   shape of the images
 *   latent                    number of latent dimensions
 *   space                     "u" if a flow lies between the prior and the z of the decoder, else "z": the
 *                             name of the numbers that /decode takes
 *   classes                   values that label= accepts; empty if the model has no classes
 *   directions                values that direction= accepts; empty if the version has no directions
 *   drawable                  true if uploads are prepared as digits, so that a drawn stroke is enough
 *   kl_nats                   KL of each latent dimension (nats), or null
 *   dataset                   title of the data set that the version was trained on
 *   sample_quality            how good its samples are (see sample_quality.js), or null
 *   ranked                    latent dimensions, the most informative one first
 *   dead                      latent dimensions that carry no information
 */
function describe(ref, { manifest, card, figures, aliases, sample_quality }) {
  const { channels, height, width } = manifest.spec.image;
  const { latent } = manifest.spec;
  const kl_nats = manifest.latents?.kl_nats ?? null;
  const dimensions = Array.from({ length: latent }, (_, i) => i);
  const ranked = kl_nats ? dimensions.toSorted((a, b) => kl_nats[b] - kl_nats[a]) : dimensions;
  return {
    ref,
    name: manifest.name,
    version: manifest.version,
    channels,
    height,
    width,
    latent,
    space: manifest.spec.prior ? "u" : "z",
    classes: manifest.classes && Object.hasOwn(manifest.files, "class_latents.safetensors") ? manifest.classes : [],
    directions: manifest.directions?.entries.map(({ name }) => name) ?? [],
    drawable: manifest.spec.upload === "digit",
    kl_nats,
    dataset: manifest.training.dataset,
    sample_quality,
    ranked,
    dead: kl_nats ? ranked.filter((d) => kl_nats[d] < DEAD_BELOW_NATS) : [],
    manifest,
    card,
    figures,
    aliases,
  };
}

/**
 * Return the numbers to show for a version: [[name, value, how it was measured, score], ...].
 *
 * The score is [number, "higher" or "lower"] if one of the two is better within a data set, else null.
 */
export function numbersOf(model) {
  const { metrics, training } = model.manifest;
  const percent = (value) => `${(100 * value).toFixed(1)} %`;
  const rows = [
    ["samples_frechet_distance", "Frechet distance of samples", (value) => value.toFixed(2), "lower"],
    ["samples_coverage", "Test images covered by samples", percent, "higher"],
    ["test_negative_elbo", "−ELBO", (value) => `${value.toFixed(2)} nats`],
    ["test_reconstruction", "Reconstruction", (value) => `${value.toFixed(2)} nats`],
    ["test_kl", "KL", (value) => `${value.toFixed(2)} nats`],
    ["active_units", "Active dimensions", (value) => `${value} of ${model.latent}`],
    ["reconstruction_label_agreement", "Reconstructions of the same class", percent, "higher"],
    ["knn_accuracy", "5-NN accuracy on mu", percent],
  ];
  const properties = [
    ["Trained on", datasetName(training.dataset), `preset ${training.preset}, ${training.epochs} epochs`, null],
    qualityRow(model),
    ["Image", `${model.width}×${model.height} pixels${model.channels === 3 ? ", colour" : ""}`, "width × height", null],
    ["Latent space", `${model.latent} dimensions`, "how many numbers z has", null],
  ];
  const measured = rows
    .filter(([key]) => Object.hasOwn(metrics, key))
    .map(([key, name, format, better]) => [name, format(metrics[key].value), metrics[key].protocol, better ? [metrics[key].value, better] : null]);
  return [...properties, ...measured];
}

function qualityRow({ sample_quality: quality, manifest: { metrics } }) {
  const how = quality ? metrics.samples_relative_sure_share.protocol : "there is no judge for this data set and size of image, or the version was published without its measurements";
  return ["Sample quality", inWords(quality), how, quality ? [quality.recognisable, "higher"] : null];
}
