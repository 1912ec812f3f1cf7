// An image as the model sees it, its reconstruction, their difference, and the numbers of both.
//
// The elements are created once for each model, and then only their content changes: nothing on the
// page moves while the user draws.
import { h } from "./dom.js";
import { term } from "./explain.js";
import { latentChart } from "./latent_chart.js";
import { OF_A_FLOW } from "./model_words.js";
import { dataAddress, pixelsOf } from "./pictures.js";
import { changeTile, tile } from "./tiles.js";

/** The verdicts of the service in words. */
const VERDICTS = { typical: "Typical of the data", atypical: "Atypical of the data", out_of_distribution: "Not like the data at all" };

/**
 * Create the view. Returns
 *
 *   pictures, details        its two elements
 *   build(model)             creates the elements of a model, which show nothing yet
 *   show(image)              shows an image of the answer of /reconstruct; returns a promise of false
 *                            if something else was shown meanwhile
 *   showScore(image)         says how typical and how likely the image is, from the answer of /score
 *   clear()                  shows nothing
 *   face()                   a copy of the reconstruction as a canvas
 */
export function reconstructionView(context) {
  const pictures = h("div", { class: "triptych", "data-result": "" });
  const details = h("div", { class: "details", "data-result": "" });
  const verdicts = h("div", { class: "verdicts", role: "status" });
  let model = null;
  let spots = null;
  let figures = null;
  let chart = null;
  let shown = null;
  /** ImageData of the reconstruction. */
  let reconstructed = null;

  function build(selected) {
    model = selected;
    spots = ["What the model sees", "Reconstruction"].map((name) => ({ name, item: null, figure: null }));
    figures = [term("Reconstruction"), term("KL"), ["Sum, close to ", term("−ELBO")]].map((name) => ({ name, nats: h("dd", {}, "–") }));
    chart = latentChart(model);
    details.replaceChildren(...[
      h("dl", { class: "figures" }, ...figures.map(({ name, nats }) => h("div", {}, h("dt", {}, name), nats))),
      h("p", { class: "note" }, "Details that z does not determine come back as ", term("blur"), "."),
      verdicts,
      h("h3", {}, "Position in the latent space: ", term("mu"), " and ", term("sigma"), " of each dimension"),
      model.space === "u" && h("p", { class: "note" }, OF_A_FLOW),
      chart.element,
    ].filter(Boolean));
    clear();
  }

  function clear() {
    shown = null;
    const captions = [...spots.map(({ name }) => name), differenceCaption()];
    const empties = captions.map((caption) => h("figure", {}, emptyPicture(model), h("figcaption", {}, caption)));
    spots.forEach((spot, i) => Object.assign(spot, { item: null, figure: empties[i] }));
    pictures.replaceChildren(...empties);
    verdicts.replaceChildren();
    figures.forEach(({ nats }) => (nats.textContent = "–"));
    chart.clear();
  }

  async function show({ input, reconstruction, mu, logvar, bce_nats, kl_nats, unusual }) {
    const mine = (shown = {});
    const [before, after] = await Promise.all([input, reconstruction].map(decoded));
    if (shown !== mine) return false;
    showPicture(spots[0], { png: input, z: null });
    showPicture(spots[1], { png: reconstruction, z: mu });
    reconstructed = after;
    showDifference(before, after);
    verdicts.replaceChildren(...(unusual ? [warningOf(unusual)] : []));
    [bce_nats, kl_nats, bce_nats + kl_nats].forEach((value, i) => (figures[i].nats.textContent = `${value.toFixed(1)} nats`));
    chart.show(mu, logvar);
    holdHeight(verdicts);
    holdHeight(details.querySelector(".figures"));
    return true;
  }

  /** Show a picture in its place. The tile stays the same element, so that it keeps the focus. */
  function showPicture(spot, { png, z }) {
    if (spot.item) {
      changeTile(spot.figure, Object.assign(spot.item, { png, z }));
      return;
    }
    spot.item = { model: model.ref, seed: null, plain: false, png, z };
    const figure = tile(spot.item, context, { caption: spot.name, name: spot.name });
    spot.figure.replaceWith(figure);
    spot.figure = figure;
  }

  function showDifference(before, after) {
    const figure = h("figure", {}, differenceOf(before, after), h("figcaption", {}, differenceCaption()));
    pictures.lastElementChild.replaceWith(figure);
  }

  /** Say how typical the image is, and how likely. */
  function showScore({ verdict, quantile, nll_nats }) {
    const typical = verdict ? `${VERDICTS[verdict]}: ${(100 * quantile).toFixed(0)} % of the test images are more typical.` : "";
    verdicts.querySelector(".typicality")?.remove();
    verdicts.append(h("p", { class: "note typicality" }, typical, typical && " ", term("−ln p(x)"), ` is about ${nll_nats.toFixed(1)} nats.`));
    holdHeight(verdicts);
  }

  return { pictures, details, build, show, showScore, clear, face: () => canvasOf(reconstructed) };
}

/** Let an element never get lower: a page that gets shorter may move what is above. */
function holdHeight(element) {
  element.style.minHeight = `${element.offsetHeight}px`;
}

/** Differences of a good reconstruction are faint, and would be black on a projector. */
const DIFFERENCE_GAIN = 3;

const differenceCaption = () => h("span", {}, `Difference ×${DIFFERENCE_GAIN}: `, h("span", { class: "lost" }, "darker"), ", ", h("span", { class: "added" }, "brighter"));

function emptyPicture({ width, height }) {
  const element = h("div", { class: "empty" });
  element.style.aspectRatio = `${width} / ${height}`;
  return element;
}

function canvasOf(pixels) {
  const canvas = h("canvas", { width: pixels.width, height: pixels.height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

async function decoded(png) {
  const element = h("img", { src: dataAddress(png), alt: "" });
  await element.decode();
  return pixelsOf(element);
}

/** Say how unusual the image is. */
function warningOf({ score, limit }) {
  const times = (score / limit).toFixed(1);
  return h("p", { class: "note unusual" }, `Not like the images that the model learnt: its score is ${times} times the limit below which 99\u00a0% of the test images lie.`);
}

/** Draw the mean difference over the colour channels, enlarged: blue if the reconstruction is darker, orange if it is brighter. */
function differenceOf(input, output) {
  const canvas = h("canvas", { class: "pixels", width: input.width, height: input.height, role: "img", "aria-label": "Difference between the reconstruction and the input" });
  const brush = canvas.getContext("2d");
  const difference = brush.createImageData(input.width, input.height);
  for (let i = 0; i < difference.data.length; i += 4) {
    const change = (output.data[i] + output.data[i + 1] + output.data[i + 2] - input.data[i] - input.data[i + 1] - input.data[i + 2]) / 3 / 255;
    const [red, green, blue] = change > 0 ? [255, 140, 60] : [80, 150, 255];
    const strength = Math.min(1, DIFFERENCE_GAIN * Math.abs(change));
    difference.data.set([red * strength, green * strength, blue * strength, 255], i);
  }
  brush.putImageData(difference, 0, 0);
  return canvas;
}
