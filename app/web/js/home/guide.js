// The words beside the diagram: its whole idea, read aloud in a minute and a half.
import { h } from "../dom.js";
import { term } from "../explain.js";

/** Return the captions for a model, as the children of a paragraph each. */
export function captionsFor({ latent, manifest }) {
  const hasFlow = !!manifest.spec.prior;
  return {
    encoder: ["The ", h("strong", {}, "encoder"), `, a neural network, looks at the image. For each of ${latent} numbers it answers with a bell curve instead of a value: `, term("mu"), " is its best guess, ", term("sigma"), " its doubt."],
    bells: hasFlow
      ? ["A narrow bell means that the number matters, and that the encoder is sure of it. This model also has a ", h("strong", {}, "flow"), ", which turns z into other numbers, u, and back. Over all images together, u follows the bell N(0, 1), the ", h("strong", {}, "prior"), "."]
      : ["A narrow bell means that the number matters, and that the encoder is sure of it. A bell like the dashed one, the ", h("strong", {}, "prior"), " N(0, 1), says nothing about the image."],
    roll: ["To get a number, roll the die: eps is a random number from N(0, 1), and ", term("z"), " = mu + sigma · eps falls somewhere under the bell. Ten rolls give ten lists z."],
    decoder: ["The ", h("strong", {}, "decoder"), ", a second network, turns each z into a picture. These ten ghosts look alike while the bells are narrow. Widen the bells with the slider, and the ghosts drift apart."],
    prior: ["Take the image away, and every bell becomes the prior. What the decoder makes now is new: this is how Generate works."],
    costs: ["Training lowers two costs together. Reconstruction asks: does the picture match the image? KL asks: do the bells stay close to the prior? Without the first, z would say nothing. Without the second, z rolled from the prior would be new to the decoder."],
  };
}

/** Create an empty caption, which `fillCaptions` fills. */
export const caption = (name, number) => h("p", { class: "guide", "data-caption": name }, badge(number), h("span"));

/** Create the number that joins a caption to its stage. */
export const badge = (number) => h("span", { class: "badge", "aria-hidden": "true" }, String(number));

export function fillCaptions(section, model) {
  for (const [name, children] of Object.entries(captionsFor(model))) {
    section.querySelector(`[data-caption=${name}] > :last-child`).replaceChildren(...children);
  }
}
