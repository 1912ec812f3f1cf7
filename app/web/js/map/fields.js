// The values of Map in the address.
import { choice, dimension, latent, pair, picture, real, seed, short, text } from "../codec.js";
import { hasEncodedImages } from "./encoded_images.js";

const PLANES = ["dimensions", "seeds", "pca", "classes"];
const classesOf = (model) => model.manifest.classes ?? [];

/** Return why a model has no plane of this kind, as a sentence, or null if it has one. */
export function planeProblem(plane, model) {
  if (plane === "dimensions") return null;
  if (model.latent <= 2) return `${model.ref} has ${model.latent === 1 ? "one dimension" : "two dimensions"}, which the map shows whole.`;
  if (plane === "seeds") return null;
  if (!hasEncodedImages(model)) return `${model.ref} was published without latents of test images, which this plane needs.`;
  if (plane === "classes" && classesOf(model).length < 2) return `${model.ref} has no classes.`;
  return null;
}

/** A field for a class of the data set. */
const dataClass = () => ({
  ...text(),
  misfit: (value, model) => (classesOf(model).includes(value) ? null : `${model.ref} has no class ${short(value)}.`),
  instead: "Another class is used instead.",
});

/** The second of two fields, which must differ from the field `first`. */
const otherThan = (first, field, things) => ({
  ...field,
  misfit: (value, model, catalogue, values) => field.misfit(value, model, catalogue, values)
    ?? (value === values[first] ? `a plane needs two ${things}, and ${value} was named twice.` : null),
});

/** Return why a model cannot show a layer alone, or null if it can. */
const layerProblem = (layer, model) => (layer !== "points" || hasEncodedImages(model) ? null : `${model.ref} was published without latents of test images.`);

/** Say around which latent the plane of two dimensions lies. */
const around = ({ z, seed: first }) => `The plane lies around ${z ? "the given z" : first === null ? "0" : `the z of seed ${first}`} instead.`;

/** A field for the part of the plane that is shown: [s, t, half], with a positive half side. */
const view = () => ({
  initial: null,
  parse: (value) => {
    const numbers = value.split(",").map(Number);
    return numbers.length === 3 && !value.split(",").includes("") && numbers.every(Number.isFinite) && numbers[2] > 0 ? numbers : undefined;
  },
  format: (numbers) => numbers.join(","),
  accepts: "three numbers with commas between them: the place in the middle, and half the width",
  instead: "The first view is shown instead.",
});

/**
 * There are four kinds of plane.
 *
 * "dimensions": the latent dimensions `x` and `y` vary, at first within ±`span`. The other dimensions
 * are those of `z`, of the latent of `seed`, or 0. The place `at` is [z[x], z[y]].
 *
 * "seeds": the plane through the latents of the seeds `a`, `b` and `c`. The place `at` is [s, t] in
 * a + s * (b - a) + t * (c - a).
 *
 * "pca": the plane in which the latents of the test images vary most, around their mean.
 *
 * "classes": the plane through the mean latents of the classes `from` and `to`; if they are null, of
 * the two classes that are closest to each other. The place is [0, 0] at the one and [1, 0] at the other.
 *
 * If `at` is null, the place is the point around which the plane was made. `view` is the part of the
 * plane that is shown, or null for the first one. `layer` says what is shown, `only` is the class whose
 * points are shown alone, and `image` is the image of the user.
 */
export const fields = {
  plane: { ...choice("dimensions", PLANES), misfit: planeProblem },
  x: dimension(), y: otherThan("x", dimension(), "dimensions"), span: real(3, 0.5, 10),
  z: { ...latent(), instead: around }, seed: { ...seed(null), instead: around },
  a: seed(1), b: seed(2), c: seed(3),
  from: dataClass(), to: otherThan("from", dataClass(), "classes"), only: { ...dataClass(), instead: "The points of all classes are shown instead." },
  layer: { ...choice("both", ["both", "images", "points"]), misfit: layerProblem, instead: "Pictures are shown instead." },
  at: { ...pair(null), instead: "The first place of the plane is used instead." }, view: view(),
  image: picture(),
};
