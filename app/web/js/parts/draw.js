// An image of the person's own: what the model sees of it, what it makes of it, and what is lost.
import { askJson, newestWins } from "../api.js";
import { picture, sameBytes } from "../codec.js";
import { drawingCanvas } from "../canvas.js";
import { button, h } from "../dom.js";
import { term } from "../explain.js";
import { latentChart } from "../latent_chart.js";
import { bitmapOf, dataAddress, pixelsOf, pngBytes } from "../pictures.js";
import { tile } from "../tiles.js";
import { preprocessOf, seenBy } from "../uploads.js";

export const fields = { image: picture() };

const LIVE_MS = 60;
const TRAY = 10;

function recipe(image, model) {
  const query = { model: model.ref, preprocess: preprocessOf([image], model) };
  return { path: "reconstruct", query, images: { image }, file: "reconstruction.png" };
}

export function mount(section, context) {
  const { store } = context;
  const newest = newestWins();
  let model = null;
  let drawn = null;
  let seenWith = null;
  let asking = 0;

  const pad = h("canvas", { class: "pad", "aria-label": "Canvas to draw on with a pointer; or choose one of the samples beside it", role: "img" });
  const hint = h("p", { class: "pad-hint" });
  const canvas = drawingCanvas(pad, (done) => {
    hint.hidden = true;
    if (done) take();
    else if (performance.now() - asking > LIVE_MS) live();
  });
  const chooser = h("input", { type: "file", accept: "image/*", class: "off-screen", tabindex: "-1", "aria-label": "Image file", onchange: () => {
    const [file] = chooser.files;
    chooser.value = "";
    if (file) context.guard(() => context.receive(file));
  } });
  const tray = h("div", { class: "tray", role: "group", "aria-label": "Samples" });
  const results = h("div", { class: "results" });
  section.append(h("div", { class: "split" },
    h("div", { class: "side" },
      h("div", { class: "pad-frame" }, pad, hint),
      h("div", { class: "row" },
        button("Clear", () => store.set({ image: null }, { push: true })),
        button("Undo", undo),
        button("Choose a file", () => chooser.click()), chooser),
      h("p", { class: "note" }, "Or drop or paste an image anywhere, or take one that the model made up:"),
      tray),
    results));

  function undo() {
    canvas.undo();
    if (canvas.isEmpty()) store.set({ image: null }, { push: true });
    else take();
  }

  /** While the pen moves: shown, and not yet kept. */
  function live() {
    asking = performance.now();
    context.guard(async () => {
      const answer = await newest(async (signal) => {
        const blob = await canvas.blob();
        const images = { image: new Uint8Array(await blob.arrayBuffer()) };
        return askJson({ path: "reconstruct", query: { model: model.ref }, images }, { signal });
      });
      if (answer) render(answer.images[0]);
    });
  }

  /** What the model sees of the drawing becomes the state, so that the address gives it back. */
  function take() {
    context.guard(async () => {
      const seen = await newest(async (signal) => seenBy(model, await canvas.blob(), { signal }));
      if (!seen) return;
      drawn = seen;
      store.set({ image: seen }, { push: true });
    });
  }

  async function show({ image }, now) {
    model = now;
    if (seenWith !== model.ref) context.guard(fillTray);
    seenWith = model.ref;
    if (!image) return empty();
    if (!sameBytes(image, drawn)) {
      canvas.load(await bitmapOf(image));
      drawn = image;
    }
    hint.hidden = true;
    const asked = recipe(image, model);
    context.offer(asked);
    const answer = await newest((signal) => askJson(asked, { signal }));
    if (!answer) return;
    await render(answer.images[0]);
    context.remember("an image and its reconstruction", [...results.querySelectorAll("img")].slice(1, 2));
  }

  function empty() {
    drawn = null;
    canvas.load(null);
    hint.hidden = false;
    hint.textContent = model.drawable ? "Draw here" : "Drop or paste an image, or draw one";
    context.offer(null);
    newest(() => undefined);
    results.replaceChildren(h("div", { class: "triptych" },
      ...["What the model sees", "Its reconstruction", "Difference"].map((caption) => h("figure", {}, h("div", { class: "empty" }), h("figcaption", {}, caption)))));
  }

  async function render({ input, reconstruction, mu, logvar, bce_nats, kl_nats }) {
    const [seen, made] = await Promise.all([input, reconstruction].map(async (png) => {
      const face = h("img", { src: dataAddress(png), alt: "" });
      await face.decode();
      return pixelsOf(face);
    }));
    const item = { model: model.ref, seed: null, plain: false };
    results.replaceChildren(
      h("div", { class: "triptych" },
        tile({ ...item, png: input, z: null }, context, { caption: "What the model sees", name: "What the model sees" }),
        tile({ ...item, png: reconstruction, z: mu }, context, { caption: "Its reconstruction", name: "The reconstruction" }),
        h("figure", {}, errorMap(seen, made), h("figcaption", {}, "Difference: ", h("span", { class: "lost" }, "lost"), ", ", h("span", { class: "added" }, "added")))),
      h("dl", { class: "figures" },
        number(term("BCE"), bce_nats),
        number(term("KL"), kl_nats),
        number(["Both: about ", term("−ELBO")], bce_nats + kl_nats)),
      h("p", { class: "note" }, "What z leaves open comes back as ", term("blur"), "."),
      h("h3", {}, "Where it lies: ", term("mu"), " and ", term("sigma"), " of each dimension"),
      latentChart(mu, logvar, model),
    );
  }

  async function fillTray() {
    const wishes = model.classes.length ? model.classes.slice(0, TRAY).map((label) => ({ label, n: 1 })) : [{ n: TRAY }];
    const answers = await Promise.all(wishes.map((wish) => askJson({ path: "generate", query: { model: model.ref, seed: 12, temperature: 0.7, ...wish } })));
    const faces = answers.flatMap(({ images, label }) => images.map(({ png, seed }) => ({ png, name: label ?? `seed ${seed}` })));
    tray.replaceChildren(...faces.map(({ png, name }) =>
      button(h("img", { class: "pixels", src: dataAddress(png), alt: "" }), () => store.set({ image: pngBytes(png) }, { push: true }), { class: "tile", "aria-label": `Sample: ${name}` })));
  }

  return { show };
}

function number(name, nats) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, `${nats.toFixed(1)} nats`));
}

/** What was lost in blue and what was added in orange; mean over channels. */
function errorMap(seen, made) {
  const canvas = h("canvas", { class: "pixels", width: seen.width, height: seen.height, role: "img", "aria-label": "Difference of the two" });
  const brush = canvas.getContext("2d");
  const out = brush.createImageData(seen.width, seen.height);
  for (let i = 0; i < out.data.length; i += 4) {
    const by = (made.data[i] + made.data[i + 1] + made.data[i + 2] - seen.data[i] - seen.data[i + 1] - seen.data[i + 2]) / 3 / 255;
    const [red, green, blue] = by > 0 ? [255, 140, 60] : [80, 150, 255];
    out.data.set([red * Math.abs(by), green * Math.abs(by), blue * Math.abs(by), 255], i);
  }
  brush.putImageData(out, 0, 0);
  return canvas;
}
