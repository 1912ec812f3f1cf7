// A sentence for each data set and model: what it is, and what it is good for.

/** Data sets by the title in a manifest: [heading, sentence]. */
const DATASETS = {
  "MNIST": ["MNIST", "handwritten digits"],
  "Fashion-MNIST": ["Fashion-MNIST", "photographs of clothes, in grey"],
  "CIFAR-10": ["CIFAR-10", "photographs of animals and vehicles, in colour"],
  "glyphs": ["Letters", "letters and digits of open fonts"],
  "avatars": ["Faces", "cartoon faces, in colour"],
};

/** Models that ship with zserve, by name. */
const MODELS = {
  "digits": "a small convolutional network, quick to train",
  "faces": "colour, with sliders for skin, hair, smile and beard",
  "fashion": "convolutions, and a normal prior",
  "fashion-flow": "a flow as the prior",
  "lab": "one hidden layer, the VAE of the tutorials",
  "letters": "62 classes, and sliders for weight, slant and serifs",
  "mnist": "a deep flow as the prior",
  "mnist-flow": "a flow as the prior, trained with the networks",
  "mnist-gaussian": "the same networks with a normal prior",
  "notebook": "two dimensions, so that the whole latent space is one map",
};

/** What the numbers of a latent are if there is a flow. */
export const OF_A_FLOW = "This model has a flow: a new image begins with u, numbers drawn from N(0, 1), and the flow turns u into the z that the decoder reads.";

/** Return the name under which the page mentions a data set, given its title in a manifest. */
export function datasetName(title) {
  return Object.hasOwn(DATASETS, title) ? DATASETS[title][0] : title;
}

/** Return the heading of a group of models, such as `MNIST: handwritten digits, 28×28`. */
export function datasetText({ dataset, image }) {
  const [name, words] = Object.hasOwn(DATASETS, dataset) ? DATASETS[dataset] : [dataset, null];
  const [, height, width] = image;
  return [words ? `${name}: ${words}` : name, `${width}×${height}`].join(", ");
}

/** Return what is special about a model in a few words. */
export function modelText({ name, latent, family }) {
  if (family) return `beta ${family.beta}, of a family that was trained to compare beta`;
  const dimensions = `${latent} dimensions`;
  return Object.hasOwn(MODELS, name) ? MODELS[name] : dimensions;
}
