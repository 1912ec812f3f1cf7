// Draw: an image of the user, as the model sees it, its reconstruction, and their difference.
import { askJson, newestWins } from "../api.js";
import { picture, sameBytes } from "../codec.js";
import { drawingCanvas } from "../canvas.js";
import { directionSliders } from "../directions.js";
import { button, h } from "../dom.js";
import { term } from "../explain.js";
import { latentChart } from "../latent_chart.js";
import { bitmapOf, dataAddress, pixelsOf, pngBytes } from "../pictures.js";
import { tile } from "../tiles.js";
import { prepare, preprocessOf } from "../uploads.js";

export const fields = { image: picture() };

/** Shortest time between two requests while the user draws. */
const LIVE_MS = 60;
/** How many samples are offered as images to start from. */
const SAMPLES = 10;

/** The verdicts of the service in words. */
const VERDICTS = { typical: "Typical of the data", atypical: "Atypical of the data", out_of_distribution: "Not like the data at all" };

function requestFor(image, model) {
  const query = { model: model.ref, preprocess: preprocessOf([image], model) };
  return { path: "reconstruct", query, images: { image }, file: "reconstruction.png" };
}

export function mount(section, context) {
  const { store } = context;
  const newest = newestWins();
  let model = null;
  let drawn = null;
  let sampledFrom = null;
  let lastRequestAt = 0;

  const pad = h("canvas", { class: "pad", "aria-label": "Canvas for drawing with a pointer. Without a pointer, choose one of the samples or a file", role: "img" });
  const hint = h("p", { class: "pad-hint" });
  const canvas = drawingCanvas(pad, (done) => {
    hint.hidden = true;
    if (done) keep();
    else if (performance.now() - lastRequestAt > LIVE_MS) showLive();
  });
  const chooser = h("input", { type: "file", accept: "image/*", class: "off-screen", tabindex: "-1", "aria-label": "Image file", onchange: () => {
    const [file] = chooser.files;
    chooser.value = "";
    if (file) context.guard(() => context.receive(file));
  } });
  const tray = h("div", { class: "tray", role: "group", "aria-label": "Samples" });
  const results = h("div", { class: "results" });
  const editing = directionSliders(context);
  section.append(h("div", { class: "split" },
    h("div", { class: "side" },
      h("div", { class: "pad-frame" }, pad, hint),
      h("div", { class: "row" },
        button("Clear", () => store.set({ image: null }, { push: true })),
        button("Undo", undo),
        button("Choose a file", () => chooser.click()), chooser),
      h("p", { class: "note" }, "Or drop or paste an image anywhere on this page, or choose one that the model generated:"),
      tray),
    h("div", {}, results, editing.element)));

  function undo() {
    canvas.undo();
    if (canvas.isEmpty()) store.set({ image: null }, { push: true });
    else keep();
  }

  /** Reconstruct the unfinished drawing without storing it in the state. */
  function showLive() {
    lastRequestAt = performance.now();
    context.guard(async () => {
      const answer = await newest(async (signal) => {
        const blob = await canvas.blob();
        const images = { image: new Uint8Array(await blob.arrayBuffer()) };
        return askJson({ path: "reconstruct", query: { model: model.ref }, images }, { signal });
      });
      if (answer) render(answer.images[0]);
    });
  }

  /** Store the prepared drawing in the state, so that the address contains it. */
  function keep() {
    context.guard(async () => {
      const image = await newest(async (signal) => prepare(model, await canvas.blob(), { signal }));
      if (!image) return;
      drawn = image;
      store.set({ image }, { push: true });
    });
  }

  async function show({ image }, selected) {
    model = selected;
    if (sampledFrom !== model.ref) context.guard(showSamples);
    sampledFrom = model.ref;
    if (!image) return showEmpty();
    if (!sameBytes(image, drawn)) {
      canvas.load(await bitmapOf(image));
      drawn = image;
    }
    hint.hidden = true;
    const request = requestFor(image, model);
    context.offer(request);
    const answer = await newest((signal) => askJson(request, { signal }));
    if (!answer) return;
    await render(answer.images[0]);
    showTypicality(request);
    context.remember("an image and its reconstruction", [...results.querySelectorAll("img")].slice(1, 2));
  }

  function showEmpty() {
    drawn = null;
    canvas.load(null);
    hint.hidden = false;
    hint.textContent = model.drawable ? "Draw here" : "Drop or paste an image, or draw one";
    context.offer(null);
    newest(() => undefined);
    editing.element.hidden = true;
    results.replaceChildren(h("div", { class: "triptych" },
      ...["What the model sees", "Reconstruction", "Difference"].map((caption) => h("figure", {}, h("div", { class: "empty" }), h("figcaption", {}, caption)))));
  }

  async function render({ input, reconstruction, mu, logvar, bce_nats, kl_nats, unusual }) {
    const [inputPixels, outputPixels] = await Promise.all([input, reconstruction].map(async (png) => {
      const element = h("img", { src: dataAddress(png), alt: "" });
      await element.decode();
      return pixelsOf(element);
    }));
    const item = { model: model.ref, seed: null, plain: false };
    results.replaceChildren(
      h("div", { class: "triptych" },
        tile({ ...item, png: input, z: null }, context, { caption: "What the model sees", name: "What the model sees" }),
        tile({ ...item, png: reconstruction, z: mu }, context, { caption: "Reconstruction", name: "Reconstruction" }),
        h("figure", {}, differenceOf(inputPixels, outputPixels), h("figcaption", {}, "Difference: ", h("span", { class: "lost" }, "darker"), ", ", h("span", { class: "added" }, "brighter")))),
      ...(unusual ? [warningOf(unusual)] : []),
      h("p", { class: "note typicality", role: "status", hidden: true }),
      h("dl", { class: "figures" },
        figure(term("BCE"), bce_nats),
        figure(term("KL"), kl_nats),
        figure(["Sum, close to ", term("−ELBO")], bce_nats + kl_nats)),
      h("p", { class: "note" }, "Details that z does not determine come back as ", term("blur"), "."),
      h("h3", {}, "Position in the latent space: ", term("mu"), " and ", term("sigma"), " of each dimension"),
      latentChart(mu, logvar, model),
    );
    await editing.show(mu, model);
  }

  /** Say how unusual the image is. */
  function warningOf({ error, score, limit }) {
    const [measure, value] = score === undefined ? ["reconstruction error", error] : ["score", score];
    const times = (value / limit).toFixed(1);
    return h("p", { class: "note unusual", role: "status" }, `This is not like the images that the model learnt: its ${measure} is ${times} times the limit that 99 % of the test images stay below.`);
  }

  /** Say how typical the image is, and how likely. The same seed keeps the number the same. */
  function showTypicality({ query, images }) {
    const line = results.querySelector(".typicality");
    context.guard(async () => {
      const answer = await newest((signal) => askJson({ path: "score", query: { ...query, seed: 0 }, images }, { signal }));
      if (!answer) return;
      const { verdict, quantile, nll_nats } = answer.images[0];
      const likelihood = ` −ln p(x) is about ${nll_nats.toFixed(1)} nats.`;
      line.textContent = (verdict ? `${VERDICTS[verdict]}: ${(100 * quantile).toFixed(0)} % of the test images are more typical.` : "") + likelihood;
      line.hidden = false;
    });
  }

  async function showSamples() {
    const queries = model.classes.length ? model.classes.slice(0, SAMPLES).map((label) => ({ label, n: 1 })) : [{ n: SAMPLES }];
    const answers = await Promise.all(queries.map((query) => askJson({ path: "generate", query: { model: model.ref, seed: 12, temperature: 0.7, ...query } })));
    const samples = answers.flatMap(({ images, label }) => images.map(({ png, seed }) => ({ png, name: label ?? `seed ${seed}` })));
    tray.replaceChildren(...samples.map(({ png, name }) =>
      button(h("img", { class: "pixels", src: dataAddress(png), alt: "" }), () => store.set({ image: pngBytes(png) }, { push: true }), { class: "tile", "aria-label": `Sample: ${name}` })));
  }

  return { show };
}

function figure(name, nats) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, `${nats.toFixed(1)} nats`));
}

/** Draw the mean difference over the colour channels: blue if the reconstruction is darker, orange if it is brighter. */
function differenceOf(input, output) {
  const canvas = h("canvas", { class: "pixels", width: input.width, height: input.height, role: "img", "aria-label": "Difference between the reconstruction and the input" });
  const brush = canvas.getContext("2d");
  const difference = brush.createImageData(input.width, input.height);
  for (let i = 0; i < difference.data.length; i += 4) {
    const change = (output.data[i] + output.data[i + 1] + output.data[i + 2] - input.data[i] - input.data[i + 1] - input.data[i + 2]) / 3 / 255;
    const [red, green, blue] = change > 0 ? [255, 140, 60] : [80, 150, 255];
    difference.data.set([red * Math.abs(change), green * Math.abs(change), blue * Math.abs(change), 255], i);
  }
  brush.putImageData(difference, 0, 0);
  return canvas;
}
