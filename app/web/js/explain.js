// Explanations of technical terms. Each term is a button that opens its explanation in a box below,
// which is also the button's accessible description.
import { h, stayNear } from "./dom.js";

const MEANINGS = {
  "z": "z is the short list of numbers from which the decoder makes an image. Similar lists give similar images.",
  "latent space": "The latent space is the set of all possible z. Each point in it is an image, and points near each other are similar images.",
  "mu": "mu is the encoder's best estimate of z for this image: the mean of the distribution that it predicts.",
  "sigma": "sigma is the encoder's uncertainty about each number of z. Near 0, the number is known exactly; at 1, it says nothing about the image.",
  "BCE": "BCE (binary cross-entropy) measures how badly the reconstruction predicts the pixels of the image: −ln p(x | z), summed over all pixels.",
  "KL": "KL (Kullback-Leibler divergence) measures how much z says about the image: how far the encoder's N(mu, sigma²) is from N(0, I), the distribution from which new images are drawn.",
  "−ELBO": "−ELBO is the reconstruction error plus KL, and training makes it smaller. It is an upper bound on −ln p(x), in nats per image; a nat is 1.44 bits.",
  "Reconstruction": "The reconstruction error measures how badly the decoder predicts an image from its z: −ln p(x | z), summed over all pixels.",
  "beta": "beta is the weight of KL in the training loss. Above 1, z becomes simpler and images blurrier; below 1, reconstructions become sharper and new images worse.",
  "Sample quality": "Sample quality is how many new images a judge is sure of, in relation to real images. The judge is a small classifier of real images. 100 % means: as recognisable as real images.",
  "Frechet distance of samples": "The Frechet distance of samples measures how far new images are from real ones, as the judge sees them. It is lower if they are recognisable and as varied as real images.",
  "blur": "blur appears if z leaves a detail open: the decoder then draws the average of all images that would fit.",
};

/** Show the explanation when an element with `data-term` is clicked, including elements that are added later. */
export function explainTerms() {
  const box = document.getElementById("meaning");
  let opened = null;
  document.addEventListener("click", ({ target }) => {
    const word = target.closest?.("[data-term]");
    if (!word) return;
    // The browser toggles the box for the clicked button. If another term was open, close the box
    // first, so that the browser opens it again.
    if (opened !== word && box.matches(":popover-open")) box.hidePopover();
    opened?.removeAttribute("aria-describedby");
    opened = word;
    box.textContent = MEANINGS[word.dataset.term];
    word.setAttribute("aria-describedby", "meaning");
    requestAnimationFrame(() => box.matches(":popover-open") && stayNear(box, word));
  });
}

/** Create a button that explains a term. `text` is shown instead of the term itself. */
export function term(word, text = word) {
  return h("button", { type: "button", class: "term", "data-term": word, popovertarget: "meaning" }, text);
}
