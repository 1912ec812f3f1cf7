// Draw: an image of the user, as the model sees it, its reconstruction, and their difference.
//
// The requests for the drawing are sent one at a time. Those that take longer, for the likelihood and
// for edited images, are sent when the pen rests.
import { askJson, newestNext } from "../api.js";
import { drawingCanvas } from "../canvas.js";
import { picture, sameBytes } from "../codec.js";
import { directionSliders } from "../directions.js";
import { button, h } from "../dom.js";
import { openDrawings } from "../drawings.js";
import { roving, setTabStop } from "../focus.js";
import { oneAtATime } from "../live.js";
import { noticeBeside } from "../pad_notice.js";
import { bitmapOf, dataAddress, pngBytes } from "../pictures.js";
import { reconstructionView } from "../reconstruction.js";
import { preparedBy, preprocessOf } from "../uploads.js";

export const fields = { image: { ...picture(), instead: "The canvas is empty instead." } };

/** Shortest time between two requests while the user draws. */
const LIVE_MS = 60;
/** The pen rests if nothing was drawn for this time. */
const REST_MS = 500;
/** How many samples are offered as images to start from. */
const SAMPLES = 10;

const pause = (time) => new Promise((resolve) => setTimeout(resolve, Math.max(0, time)));

function requestFor(image, model) {
  const query = { model: model.ref, preprocess: preprocessOf([image], model) };
  return { path: "reconstruct", query, images: { image }, file: "reconstruction.png" };
}

export function mount(section, context) {
  const { store } = context;
  const drawings = openDrawings();
  const view = reconstructionView(context);
  const notice = noticeBeside();
  const newest = newestNext();
  const atRest = oneAtATime(measure);
  let model = null;
  let sampledFrom = null;
  /** The image that the canvas shows, and the one below its strokes; both are bytes of a PNG or null. */
  let drawn = null;
  let base = null;
  /** Counts the changes of the drawing; `keptChange` is the last one that is in the state. */
  let change = 0;
  let keptChange = 0;
  let changedAt = 0;
  let lastRequestAt = 0;
  let restTimer = null;
  /** The request whose answer is shown, or null after a change. */
  let answered = null;

  const pad = h("canvas", { class: "pad", "aria-label": "Canvas for drawing with a pointer. Without a pointer, choose one of the samples or a file", role: "img" });
  const hint = h("p", { class: "pad-hint" });
  const canvas = drawingCanvas(pad, (done) => {
    hint.hidden = true;
    touch();
    if (done) keep();
    else showLive();
  });
  const chooser = h("input", { type: "file", accept: "image/*", class: "off-screen", tabindex: "-1", "aria-label": "Image file", onchange: () => {
    const [file] = chooser.files;
    chooser.value = "";
    if (file) context.guard(() => context.receive(file));
  } });
  const tray = h("div", { class: "tray", role: "group", "aria-label": "Samples" });
  const editing = directionSliders(context);
  const editingNote = h("p", { class: "note unusual-start", hidden: true }, "The image is not like those that the model learnt, so its edited versions may show something else.");
  const afterwards = h("div", { class: "afterwards" }, editingNote, editing.element);
  section.append(h("div", { class: "draw" },
    h("div", { class: "studio" },
      h("div", { class: "side" },
        h("div", { class: "pad-frame" }, pad, hint),
        h("div", { class: "row" },
          button("Clear", () => store.set({ image: null }, { push: true })),
          button("Undo", undo, { title: "Remove the last stroke (Ctrl+Z)" }),
          button("Choose a file", () => chooser.click()), chooser),
        h("p", { class: "note" }, "Or drop or paste an image anywhere on this page, or choose one that the model generated:"),
        tray),
      h("div", { class: "pictures" }, view.pictures, notice.element)),
    h("div", { class: "draw-details" }, view.details, afterwards)));
  roving(tray, () => [...tray.children]);
  section.addEventListener("keydown", (event) => {
    if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.target.tagName === "INPUT") return;
    event.preventDefault();
    undo();
  });

  // --- the drawing ---

  /** Note that the drawing has changed: what is measured is no longer about it. */
  function touch() {
    change += 1;
    changedAt = performance.now();
    clearTimeout(restTimer);
    answered = null;
  }

  function undo() {
    touch();
    canvas.undo();
    if (canvas.isEmpty()) store.set({ image: null }, { push: true });
    else if (canvas.strokes().length) keep();
    else keepImage(base);
  }

  /** Send a request for the drawing after the one in progress. A newer request takes its place. */
  const inTurn = (work) => newest(work, { isLive: true });
  const abort = () => newest(() => undefined);

  async function ask(work, again) {
    try {
      await context.busy([view.pictures, view.details], () => inTurn(async (signal) => {
        await work(signal);
        notice.hide();
      }));
    } catch (error) {
      notice.show(error, again);
    }
  }

  /** Reconstruct the unfinished drawing without storing it in the state. */
  function showLive() {
    ask(async (signal) => {
      await pause(lastRequestAt + LIVE_MS - performance.now());
      lastRequestAt = performance.now();
      const { image } = await preparedBy(model, await canvas.blob(), { signal, retries: 0 });
      if (!signal.aborted) await view.show(image);
    }, showLive);
  }

  /** Store the prepared drawing in the state, so that the address contains it. */
  function keep() {
    const mine = change;
    const drawing = { base, strokes: structuredClone(canvas.strokes()) };
    const content = canvas.blob();
    ask(async (signal) => {
      const { image, png } = await preparedBy(model, await content, { signal });
      if (signal.aborted) return;
      await view.show(image);
      drawings.keep(png, drawing);
      keepImage(png, mine);
    }, keep);
  }

  function keepImage(image, ofChange = change) {
    drawn = image;
    keptChange = ofChange;
    store.set({ image }, { push: true });
  }

  // --- showing ---

  async function show({ image }, selected) {
    if (model !== selected) {
      view.build(selected);
      answered = null; // latents of another model are neither edited nor scored by this one
    }
    model = selected;
    if (sampledFrom !== model.ref) showSamples();
    sampledFrom = model.ref;
    if (!image) return showEmpty();
    hint.hidden = true;
    const request = requestFor(image, model);
    context.offer(request);
    if (!sameBytes(image, drawn)) {
      if (!await load(image)) return;
    } else if (change !== keptChange) return; // the user has drawn on: a newer request follows
    try {
      const answer = await inTurn((signal) => askJson(request, { signal }));
      if (answer) await showAnswer(answer.images[0], request);
    } catch (error) {
      notice.show(error, () => store.set({}));
    }
  }

  /** Show an image on the canvas, with its strokes if they are known. Returns false if another one came meanwhile. */
  async function load(image) {
    abort();
    touch();
    notice.hide();
    drawn = image;
    keptChange = change;
    const drawing = drawings.of(image) ?? { base: image, strokes: [] };
    const bitmap = drawing.base && await bitmapOf(drawing.base);
    if (drawn !== image) return false;
    base = drawing.base;
    canvas.load(bitmap, drawing.strokes);
    return true;
  }

  async function showAnswer(image, request) {
    notice.hide();
    if (!await view.show(image)) return;
    afterwards.classList.remove("without-values");
    context.remember(`a reconstruction: error ${image.bce_nats.toFixed(1)}, KL ${image.kl_nats.toFixed(1)} nats`, [view.face()]);
    if (change !== keptChange) return;
    clearTimeout(restTimer);
    answered = request;
    restTimer = setTimeout(() => atRest({ image, request }).catch((error) => notice.show(error)), Math.max(0, changedAt + REST_MS - performance.now()));
  }

  /** Edit the image, and say how typical and how likely it is. The same seed keeps the number the same. */
  async function measure({ image, request }, signal) {
    if (request !== answered) return;
    editingNote.hidden = !image.unusual || !model.directions.length;
    await editing.show(image.mu, model);
    if (request !== answered) return;
    const { query, images } = request;
    const answer = await askJson({ path: "score", query: { ...query, seed: 0 }, images }, { signal });
    if (request === answered) view.showScore(answer.images[0]);
  }

  function showEmpty() {
    abort();
    touch();
    notice.hide();
    drawn = base = null;
    keptChange = change;
    canvas.load(null);
    hint.hidden = false;
    hint.textContent = model.drawable ? "Draw here" : "Drop or paste an image, or draw one";
    context.offer(null);
    view.clear();
    afterwards.classList.add("without-values");
  }

  /** Offer samples to start from, one of each class if the model has classes. */
  async function showSamples() {
    const { ref, classes } = model;
    const queries = classes.length ? classes.slice(0, SAMPLES).map((label) => ({ label, n: 1 })) : [{ n: SAMPLES }];
    tray.replaceChildren(...Array.from({ length: classes.length ? queries.length : SAMPLES }, () => h("div", { class: "empty" })));
    try {
      const answers = await context.busy(tray, () => Promise.all(queries.map((query) => askJson({ path: "generate", query: { model: ref, seed: 12, temperature: 0.7, ...query } }))));
      if (sampledFrom !== ref) return;
      const samples = answers.flatMap(({ images, label }) => images.map(({ png, seed }) => ({ png, name: label ?? `seed ${seed}` })));
      tray.replaceChildren(...samples.map(({ png, name }) =>
        button(h("img", { class: "pixels", src: dataAddress(png), alt: "" }), () => store.set({ image: pngBytes(png) }, { push: true }), { class: "tile", "aria-label": `Sample: ${name}` })));
      setTabStop([...tray.children], tray.firstElementChild);
    } catch (error) {
      if (sampledFrom === ref) notice.show(error, showSamples);
    }
  }

  return { show };
}
