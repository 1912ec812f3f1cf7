// Map: a plane through the latent space, as decoded pictures with the latents of test images over them.
// Pointing at a place shows its image, and beside it the nearest test image as the model rebuilds it.
import { askJson, newestWins } from "../api.js";
import { sameBytes, toBase64 } from "../codec.js";
import { imageDataOf, openDecoder, pngOf } from "../decoding.js";
import { field, h } from "../dom.js";
import { oneAtATime } from "../live.js";
import { createBoard } from "../map/board.js";
import { createControls, dimensionsOf } from "../map/controls.js";
import { encodedImages, hasEncodedImages, latentOf } from "../map/encoded_images.js";
import { fields } from "../map/fields.js";
import { followGestures } from "../map/gestures.js";
import { createLegend } from "../map/legend.js";
import { createMine } from "../map/mine.js";
import { createMosaic } from "../map/mosaic.js";
import { classesPlane, classPair, dimensionsPlane, latentAt, pcaPlane, projectedCovariance, projector, seedsPlane } from "../map/planes.js";
import { createScatter } from "../map/scatter.js";
import { bounded, fractionOf, isNear, moved, placeAt, showing, zoomed } from "../map/viewport.js";
import { datasetName, OF_A_FLOW } from "../model_words.js";
import { tile } from "../tiles.js";

export { fields };

/** Presses of an arrow key from one edge to the other. */
const STEPS = 60;
/** Delay before the address changes, because browsers limit changes of the address per second. */
const KEEP_MS = 250;
const KEYS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const ZOOM_KEYS = { "+": 1.5, "=": 1.5, "-": 1 / 1.5 };

const round = (value) => Math.round(value * 1e4) / 1e4;

export function mount(section, context) {
  const { store } = context;
  const newestPlane = newestWins();
  const newestPlace = newestWins();
  const newestMine = newestWins();
  let current = null; // {key, model, plane, decoder, mosaic, encoded, scatter, abort}
  let mine = null;
  let kept = null;
  let hovered = null;
  let near = null;
  let view = null;
  let keepTimer = null;
  let isFilling = false;
  let shownPlace = null;
  let settings = { layer: "both", only: null, image: null };

  const controls = createControls(store);
  const board = createBoard({ zoom: (factor) => current && see(zoomed(view, factor, [0.5, 0.5], current.plane.view)), reset });
  const legend = createLegend((only) => store.set({ only }, { push: true }));
  const own = createMine(context, {
    remove: () => store.set({ image: null }, { push: true }),
    centre: () => mine && keep(mine.place, showing({ ...view, s: mine.place[0], t: mine.place[1] }, mine.place)),
    through: () => mine && store.set({ plane: "dimensions", z: mine.mu, seed: null, at: null, view: null }, { push: true }),
  });
  const liveImage = h("canvas", { class: "pixels map-live", "aria-hidden": "true" });
  const keptImage = h("div", {});
  const nearImage = h("canvas", { class: "pixels map-near", "aria-hidden": "true" });
  const nearCaption = h("figcaption", {});
  const nearFigure = h("figure", { class: "map-near-figure" }, nearImage, nearCaption);
  const placeText = h("output", { id: "map-place", class: "off-screen" });
  const sliders = [0, 1].map((i) => h("input", { type: "range", step: "any", oninput: () => keep(kept.with(i, Number(sliders[i].value))) }));
  const sliderOutputs = sliders.map(() => h("output"));
  const sliderFields = sliders.map((slider, i) => field(" ", slider, sliderOutputs[i]));
  const aboutPoints = h("p", { class: "note", id: "map-points" });
  section.append(controls.element, h("div", { class: "map" },
    h("div", { class: "map-place-frame" },
      h("div", { class: "map-faces" },
        h("figure", {}, h("div", { class: "map-face", "data-result": "" }, keptImage, liveImage), h("figcaption", {}, "This place, decoded")),
        nearFigure),
      placeText, ...sliderFields, own.element),
    h("div", { class: "map-main" }, board.element, legend.element,
      h("p", { class: "note", id: "map-help" }, "Point at a place to see its image, and click to keep it. Drag or swipe to move the map; turn the wheel, pinch, or press + and − to zoom. Arrow keys move the place, and 0 resets the view."),
      aboutPoints)));

  // --- the plane ---

  async function planeOf(values, model, signal) {
    const zOf = async (seed) => (await askJson({ path: "generate", query: { model: model.ref, n: 1, seed } }, { signal })).images[0].z;
    if (values.plane === "seeds") return seedsPlane(await Promise.all([values.a, values.b, values.c].map(zOf)));
    if (values.plane === "dimensions") {
      const centre = values.z ?? (values.seed === null ? new Array(model.latent).fill(0) : await zOf(values.seed));
      return dimensionsPlane(centre, dimensionsOf(values, model), values.span, model.space);
    }
    const encoded = await encodedImages(model);
    if (values.plane === "pca") return pcaPlane(encoded);
    const { classes } = model.manifest;
    const pair = classPair(values, encoded, classes);
    return { ...classesPlane(encoded, pair, pair.map((label) => classes[label])), pair };
  }

  async function change(key, values, model, signal) {
    const [plane, decoder] = await Promise.all([planeOf(values, model, signal), openDecoder(model)]);
    if (signal.aborted) return undefined;
    const abort = new AbortController();
    return { key, model, plane, decoder, mosaic: createMosaic(plane, model, decoder, board.repaint), encoded: null, scatter: null, abort };
  }

  /** Load the points and add them to the plane that is shown. */
  async function addPoints(shown) {
    if (!hasEncodedImages(shown.model)) return;
    const encoded = await encodedImages(shown.model);
    if (shown !== current) return;
    Object.assign(current, { encoded, scatter: createScatter(current.plane, encoded, current.model.manifest.classes ?? []) });
    board.board.dataset.points = encoded.count;
    describePoints();
    paint();
    preview(hovered ?? kept);
  }

  async function fill() {
    if (isFilling || !current || settings.layer === "points" || !current.mosaic.missing(view)) return;
    isFilling = true;
    const { mosaic, abort: { signal } } = current;
    try {
      const filled = () => mosaic.fill(() => view, signal).catch((error) => {
        if (!signal.aborted) throw error;
      });
      await context.guard(() => context.busy([], filled, { inWords: false }));
    } finally {
      isFilling = false;
    }
    if (mosaic !== current?.mosaic) fill();
  }

  // --- the view and the place ---

  function paint() {
    if (!current) return;
    const { plane, mosaic, scatter } = current;
    board.show({ plane, mosaic, scatter, mine: mine && mine.plane === plane ? mine : null, view, layer: settings.layer, only: shownLabels(), place: hovered ?? kept, near });
  }

  /** Return the labels whose points are shown clearly: the chosen class, or those of the plane; null for all. */
  function shownLabels() {
    const { plane, model } = current;
    return settings.only === null ? plane.pair ?? null : [model.manifest.classes.indexOf(settings.only)];
  }

  /** Show another part of the plane. It is stored in the state after a moment without changes. */
  function see(next) {
    view = next;
    boundSliders();
    paint();
    fill();
    keepSoon();
  }

  function reset() {
    if (current) see(current.plane.view);
  }

  function keepSoon() {
    clearTimeout(keepTimer);
    keepTimer = setTimeout(() => {
      keepTimer = null;
      const { s, t, half } = view;
      const isFirst = view === current.plane.view;
      store.set({ at: kept, view: isFirst ? null : [s, t, half].map((value) => Number(value.toPrecision(5))) });
    }, KEEP_MS);
  }

  const decodeNow = oneAtATime(async ({ place, near }, signal) => {
    const { plane, model, decoder, encoded } = current;
    const latents = near ? [latentAt(plane, place), latentOf(encoded, near.i)] : [latentAt(plane, place)];
    const pictures = await decoder.decode(latents, { signal });
    if (signal.aborted) return;
    draw(liveImage, pictures[0], model);
    if (near) draw(nearImage, pictures[1], model);
    liveImage.dataset.at = place.join(",");
    nearImage.dataset.index = near ? encoded.indices[near.i] : "";
  });

  /** Show the image at a place, and the nearest test image, without selecting the place. */
  function preview(place) {
    near = current.scatter && settings.layer !== "images" ? current.scatter.nearest(place, shownLabels()) : null;
    sliders.forEach((slider, i) => {
      slider.value = place[i];
      sliderOutputs[i].textContent = place[i].toFixed(2);
    });
    nearFigure.hidden = !near;
    nearCaption.textContent = near ? `Nearest: ${nameOf(near)}${current.model.latent > 2 ? `, ${near.distance.toFixed(1)} away from this plane` : ""}` : "";
    paint();
    context.guard(() => decodeNow({ place, near }));
  }

  function nameOf({ i }) {
    const { encoded, model } = current;
    const label = encoded.labels?.[i] ?? null;
    return `test image ${encoded.indices[i]}${label === null ? "" : `, class ${model.manifest.classes[label]}`}`;
  }

  /** Select a place, in a view that shows it. Both are stored in the state after a moment without changes. */
  function keep(place, next = view) {
    const { s, t } = bounded({ ...next, s: place[0], t: place[1] }, current.plane.view);
    kept = [s, t].map(round);
    hovered = null;
    view = bounded(showing(next, kept), current.plane.view);
    if (["s", "t", "half"].every((name) => view[name] === current.plane.view[name])) view = current.plane.view;
    boundSliders();
    preview(kept);
    fill();
    keepSoon();
  }

  function boundSliders() {
    const { s, t, half } = view;
    [s, t].forEach((middle, i) => Object.assign(sliders[i], { min: round(middle - half), max: round(middle + half) }));
    sliders.forEach((slider, i) => (slider.value = (hovered ?? kept)[i]));
  }

  followGestures(board.board, {
    hover(at) {
      if (!current) return;
      hovered = placeAt(view, at).map(round);
      preview(hovered);
    },
    leave() {
      hovered = null;
      if (current) preview(kept);
    },
    tap: (at) => current && keep(placeAt(view, at)),
    pan: (by) => current && see(moved(view, by, current.plane.view)),
    zoom: (factor, at) => current && see(zoomed(view, factor, at, current.plane.view)),
  });
  board.board.addEventListener("keydown", (event) => {
    const direction = KEYS[event.key];
    const zoom = ZOOM_KEYS[event.key];
    if (!current || event.ctrlKey || event.metaKey || (!direction && !zoom && !["Home", "0"].includes(event.key))) return;
    event.preventDefault();
    const step = ((2 * view.half) / STEPS) * (event.shiftKey ? 5 : 1);
    if (direction) keep(kept.map((value, i) => value + step * direction[i]));
    else if (zoom) keep(kept, zoomed(view, zoom, [0.5, 0.5], current.plane.view));
    else if (event.key === "Home") keep(current.plane.home);
    else reset();
  });

  // --- showing ---

  function describePoints() {
    const { model, plane, encoded, decoder } = current;
    const where = decoder.local ? "Pictures are decoded in this browser." : decoder.reason;
    if (!hasEncodedImages(model)) {
      aboutPoints.textContent = `${model.ref} was published without latents of test images, so no points are shown, and there is no plane by PCA or between classes. Its publisher adds them with: python -m training complete ${model.ref}. ${where}`;
    } else if (encoded) {
      aboutPoints.textContent = `Each point is one of ${encoded.count.toLocaleString("en")} test images of ${datasetName(model.dataset)}: the mu that the encoder gives it, projected onto this plane. ${model.latent > 2 ? "Most of them lie off the plane, so the picture under a point need not look like it. " : ""}${plane.pair ? "Points of other classes are faint. " : ""}${model.space === "u" ? `${OF_A_FLOW} ` : ""}${where}`;
    } else aboutPoints.textContent = "The latents of test images are loaded.";
  }

  function showPlane({ plane, model }) {
    sliders.forEach((slider, i) => (sliderFields[i].querySelector("label").textContent = plane.names[i]));
    legend.show(hasEncodedImages(model) ? model.manifest.classes ?? [] : [], settings.only);
    delete board.board.dataset.points;
    if (plane.pair) controls.showClasses(plane.pair, model);
    describePoints();
    current.decoder.ready.then(() => current && describePoints());
  }

  async function show(state, model) {
    if (own.adopt(state)) return; // the state is shown again with the image
    const values = { ...state, plane: model.latent <= 2 ? "dimensions" : state.plane };
    controls.show(values, model);
    settings = values;
    const { at, view: seen, image, only, layer, ...rest } = values;
    const key = JSON.stringify([model.ref, rest]);
    if (current?.key !== key) {
      current?.abort.abort();
      decodeNow.drop();
      [current, hovered, near, shownPlace] = [null, null, null, null];
      clearTimeout(keepTimer);
      keepTimer = null;
      const next = await newestPlane((signal) => change(key, values, model, signal));
      if (!next) return;
      current = next;
      showPlane(current);
    }
    legend.show(hasEncodedImages(model) ? model.manifest.classes ?? [] : [], only);
    if (keepTimer === null) { // otherwise the place and the view that are about to be stored are newer
      ({ kept, view } = placeAndView(at, seen));
    }
    boundSliders();
    if (!current.scatter) context.guard(() => addPoints(current));
    preview(hovered ?? kept);
    fill();
    context.guard(() => showMine(image, model));
    await showPlace(model);
  }

  /** Return the place and the view of an address, and say so if they are too far from the plane's first view. */
  function placeAndView(at, seen) {
    const { home, view: first } = current.plane;
    const isFar = (name, values, spot) => {
      if (!values || isNear(spot, first)) return false;
      const instead = name === "at" ? `at=${home.map(round).join(",")} is used instead` : "The first view is shown instead";
      store.correct("map", { [name]: null }, `${name}=${values.join(",")} cannot be shown: it is too far away from the plane's first view. ${instead}.`);
      return true;
    };
    const place = at && !isFar("at", at, { ...first, s: at[0], t: at[1] }) ? at : home;
    const wanted = seen && { s: seen[0], t: seen[1], half: seen[2] };
    if (wanted && !isFar("view", seen, wanted)) return { kept: place, view: bounded(wanted, first) };
    const showsPlace = fractionOf(first, place).every((fraction) => fraction >= 0 && fraction <= 1);
    return { kept: place, view: showsPlace ? first : bounded(showing(first, place), first) };
  }

  /** Show the selected place as a tile, unless it is shown already, and offer its request. */
  async function showPlace(model) {
    const z = Array.from(Float32Array.from(latentAt(current.plane, kept)));
    const request = { path: "decode", query: { model: model.ref }, json: { z: [latentAt(current.plane, kept)] }, file: "image.png" };
    context.offer(request);
    const place = JSON.stringify([model.ref, z]);
    if (shownPlace === place) return;
    const { decoder } = current;
    const png = await newestPlace((signal) => (decoder.local
      ? decoder.decode([z], { signal }).then(async ([picture]) => toBase64(await pngOf(model, picture)))
      : askJson(request, { signal }).then(({ images: [image] }) => image.png)));
    if (!png) return;
    shownPlace = place;
    const hadFocus = keptImage.contains(document.activeElement);
    keptImage.replaceChildren(tile({ png, z, seed: null, plain: false, model: model.ref, request }, context, { name: "Image at the selected place" }));
    if (hadFocus) keptImage.querySelector("button").focus();
    placeText.textContent = current.plane.names.map((name, i) => `${name} ${kept[i].toFixed(2)}`).join(", ") + (near ? `; nearest ${nameOf(near)}` : "");
    context.remember(`map at ${current.plane.names.map((name, i) => `${name} ${kept[i].toFixed(2)}`).join(", ")}`, [...keptImage.querySelectorAll("img")]);
  }

  async function showMine(image, model) {
    const { plane, decoder } = current;
    if (mine?.plane === plane && sameBytes(mine.image, image)) return;
    mine = null;
    const encoded = await newestMine(() => own.encode(image, model, decoder));
    if (plane !== current?.plane) return;
    if (encoded) {
      const [s, t, distance] = projector(plane)(encoded.mu);
      mine = { plane, image, mu: encoded.mu, place: [s, t], covariance: projectedCovariance(plane, encoded.logvar) };
      board.board.dataset.mine = [s, t].map(round).join(",");
      own.say(`mu at ${plane.names[0]} ${s.toFixed(2)}, ${plane.names[1]} ${t.toFixed(2)}${model.latent > 2 ? `, ${distance.toFixed(1)} away from this plane` : ""}. The ellipses are one and two sigma.`);
    } else delete board.board.dataset.mine;
    paint();
  }

  return { show, controls: (values, model) => controls.show(values, model) };
}

function draw(canvas, picture, model) {
  if (canvas.width !== model.width) canvas.width = model.width;
  if (canvas.height !== model.height) canvas.height = model.height;
  canvas.getContext("2d").putImageData(imageDataOf(model, picture), 0, 0);
}
