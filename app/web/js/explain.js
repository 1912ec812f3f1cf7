// Explanations of technical terms. Each term is a button that opens its explanation in a box below,
// which is also the button's accessible description.
import { h, stayNear } from "./dom.js";

const MEANINGS = {
  "z": "z is the short list of numbers from which the decoder makes an image. Similar lists give similar images.",
  "latent space": "The latent space is the set of all possible z. Each point in it is an image, and points near each other are similar images.",
  "mu": "mu is the encoder's best estimate of z for this image: the mean of the distribution that it predicts.",
  "sigma": "sigma is the encoder's uncertainty about each number of z. Near 0, the number is known exactly; at 1, it says nothing about the image.",
  "KL": "KL (Kullback-Leibler divergence) measures how much z says about the image: how far the encoder's N(mu, sigma²) is from N(0, I), the distribution from which new images are drawn.",
  "−ELBO": "−ELBO is the reconstruction error plus KL, and training makes it smaller. It is an upper bound on −ln p(x), in nats per image; a nat is 1.44 bits.",
  "Reconstruction": "The reconstruction error measures how badly the decoder predicts an image from its z: −ln p(x | z), summed over all pixels.",
  "−ln p(x)": "−ln p(x) measures how improbable the model finds an image x, of which p(x) is the probability. If it is smaller by one nat, the image is 2.7 times as probable.",
  "temperature": "The temperature is the number by which all random numbers are multiplied. Below 1, new images are cleaner and more alike; above 1, they differ more, and more of them fail.",
  "beta": "beta is the weight of KL in the training loss. Above 1, z becomes simpler and images blurrier; below 1, reconstructions become sharper and new images worse.",
  "Sample quality": "Sample quality is how many new images a judge is sure of, in relation to real images. The judge is a small classifier of real images. 100 % means: as recognisable as real images.",
  "Frechet distance of samples": "The Frechet distance of samples measures how far new images are from real ones, as the judge sees them. It is lower if they are recognisable and as varied as real images.",
  "Test images covered by samples": "Test images covered by samples is the share of test images that have a new image close by, as the judge sees them. It is low if the model leaves out some kinds of images.",
  "Active dimensions": "Active dimensions are those that the encoder uses: their mu differs from image to image. The others say nothing about the image.",
  "Reconstructions of the same class": "Reconstructions of the same class is the share of test images to which the judge gives the same class before and after they were encoded and decoded.",
  "5-NN accuracy on mu": "5-NN accuracy on mu is the share of test images whose class follows from mu: most of the five training images with the nearest mu have the same class.",
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

/** Return a button that explains the text if it is a term, else the text itself. */
export const explained = (text) => (Object.hasOwn(MEANINGS, text) ? term(text) : text);
