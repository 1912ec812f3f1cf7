// The models that are served, each version read once.
import { get, Problem } from "./api.js";

/** From this many nats on a latent dimension says something about the image. */
const ALIVE_NATS = 0.01;

/** `{names, reference(text) -> "name@version", version(reference) -> Model}` */
export async function openCatalogue() {
  const { models } = await get("models");
  const read = new Map();
  if (!models.length) throw new Problem({ detail: "There is no model in the store yet.", remedy: "train one: make train" });
  const standard = models.find((model) => model.default) ?? models[0];

  /** Pins a reference: mnist, mnist@production or mnist@2 -> mnist@2; throws Problem. */
  function reference(text) {
    if (!text) return `${standard.name}@${standard.version}`;
    const [name, which = ""] = text.split("@");
    const model = models.find((one) => one.name === name);
    if (!model) {
      throw new Problem({ detail: `There is no model ${name} here.`, remedy: `choose one of ${models.map((one) => one.name).join(", ")}` });
    }
    const version = which === "" ? model.version : (model.aliases[which] ?? Number(which));
    if (!model.versions.includes(version)) {
      throw new Problem({ detail: `${name} has no version ${which}.`, remedy: `choose one of ${model.versions.join(", ")}` });
    }
    return `${name}@${version}`;
  }

  function version(ref) {
    if (!read.has(ref)) {
      const found = get(`models/${ref.replace("@", "/")}`).then((said) => describe(ref, said));
      found.catch(() => read.delete(ref));
      read.set(ref, found);
    }
    return read.get(ref);
  }

  return { models, reference, version };
}

/**
 * What the parts know of a version: shape, `latent`, `classes` (what label= takes, or empty),
 * `drawable` (whether uploads are read as digits, so that a stroke will do),
 * `ranked` (dimensions, the most informative first), `dead` (those that say nothing), and all the
 * service said in `manifest`, `card`, `figures`.
 */
function describe(ref, { manifest, card, figures, aliases }) {
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
    classes: manifest.classes && "class_latents.safetensors" in manifest.files ? manifest.classes : [],
    drawable: manifest.spec.upload === "digit",
    kl_nats,
    ranked,
    dead: kl_nats ? ranked.filter((d) => kl_nats[d] < ALIVE_NATS) : [],
    manifest,
    card,
    figures,
    aliases,
  };
}

/** The numbers of a version for people: [[name, value, how it was measured], ...]. */
export function numbersOf(model) {
  const { metrics, training } = model.manifest;
  const shown = [
    ["test_negative_elbo", "−ELBO", (value) => `${value.toFixed(2)} nats`],
    ["test_reconstruction", "Reconstruction", (value) => `${value.toFixed(2)} nats`],
    ["test_kl", "KL", (value) => `${value.toFixed(2)} nats`],
    ["active_units", "Active dimensions", (value) => `${value} of ${model.latent}`],
    ["reconstruction_label_agreement", "Class kept", (value) => `${(100 * value).toFixed(1)} %`],
    ["knn_accuracy", "Classes apart (5-NN)", (value) => `${(100 * value).toFixed(1)} %`],
  ];
  const facts = [
    ["Trained on", training.dataset, `preset ${training.preset}, ${training.epochs} epochs`],
    ["Image", `${model.width}×${model.height}${model.channels === 3 ? ", colour" : ""}`, "pixels"],
    ["Latent", `${model.latent} dimensions`, "the length of z"],
  ];
  const measured = shown.filter(([key]) => key in metrics).map(([key, name, say]) => [name, say(metrics[key].value), metrics[key].protocol]);
  return [...facts, ...measured];
}
