// What the words mean, one sentence each, where they appear: a word is a button, and its sentence
// is the button's description, which opens below it.
import { h, placeNear } from "./dom.js";

const MEANINGS = {
  "z": "z is the short list of numbers from which the decoder draws an image; similar z give similar images.",
  "latent space": "The latent space is the room of all z: every place in it is an image, and near places are similar images.",
  "mu": "mu is the z that the encoder thinks likeliest for this image: where the image lies in the latent space.",
  "sigma": "sigma says how sure the encoder is of each number of z: small means it matters exactly, 1 means it says nothing about the image.",
  "BCE": "BCE, binary cross-entropy, is the price of the pixels: −ln p(x | z), how badly the reconstruction predicts the image, summed over the pixels.",
  "KL": "KL is the price of z: how many nats the image's own N(mu, sigma²) says beyond N(0, I), from which new images are drawn.",
  "nats": "A nat is a unit of information like the bit, with the natural logarithm: 1 nat is 1.44 bits.",
  "−ELBO": "−ELBO is reconstruction plus KL: an upper bound on −ln p(x), what an image costs in all; training makes it smaller.",
  "Reconstruction": "The reconstruction error is −ln p(x | z), how badly an image is predicted from its z, summed over the pixels.",
  "beta": "beta is the weight of KL against reconstruction in training: above 1, z becomes simpler and images blurrier; below 1, sharper images, and worse new ones.",
  "blur": "Blur is the decoder's honest average: where z leaves open how the image looked, it draws the mean of all that it could have been.",
  "temperature": "The temperature scales z: near 0 all samples become the typical image, above 1 they become strange.",
};

/** Make all words with data-term explain themselves, those that come later too. */
export function explainTerms() {
  const box = document.getElementById("meaning");
  let opened = null;
  document.addEventListener("click", ({ target }) => {
    const word = target.closest?.("[data-term]");
    if (!word) return;
    // The browser opens and closes it for its button; another button finds it closed.
    if (opened !== word && box.matches(":popover-open")) box.hidePopover();
    opened?.removeAttribute("aria-describedby");
    opened = word;
    box.textContent = MEANINGS[word.dataset.term];
    word.setAttribute("aria-describedby", "meaning");
    requestAnimationFrame(() => placeNear(box, word.getBoundingClientRect()));
  });
}

/** A word that explains itself; `text` is how it is written here. */
export function term(word, text = word) {
  return h("button", { type: "button", class: "term", "data-term": word, popovertarget: "meaning" }, text);
}
