// Map: a plane through the latent space as one image. Pointing at a place decodes its latent.
import { ask, askJson, newestWins } from "../api.js";
import { choice, dimension, latent, pair, real, seed } from "../codec.js";
import { button, field, fill, h } from "../dom.js";
import { oneAtATime } from "../live.js";
import { bitmapOf, drawFromGrid, placeInGrid } from "../pictures.js";
import { tile } from "../tiles.js";
import { randomSeed } from "./generate.js";

/**
 * There are two kinds of plane.
 *
 * "dimensions": the latent dimensions `x` and `y` vary within ±`span`. The other dimensions are those
 * of `z`, of the latent of `seed`, or 0. The place `at` is [z[x], z[y]].
 *
 * "seeds": the plane through the latents of the seeds `a`, `b` and `c`. The place `at` is [s, t] in
 * a + s * (b - a) + t * (c - a).
 *
 * If `at` is null, the place is the point around which the plane was made.
 */
export const fields = {
  plane: choice("dimensions", ["dimensions", "seeds"]),
  x: dimension(), y: dimension(), z: latent(), seed: seed(null), span: real(3, 0.5, 10),
  a: seed(1), b: seed(2), c: seed(3),
  at: pair(null),
};

/** Images along each side: an odd number, so that one is at the centre. */
const SIDE = 15;
/** Rows in one request: few, so that the image at the pointer does not wait for the whole map. */
const ROWS = 3;
/** Presses of an arrow key from one edge to the other. */
const STEPS = 60;
/** Delay before the address changes, because browsers limit changes of the address per second. */
const KEEP_MS = 250;
const KEYS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

const round = (value) => Math.round(value * 1000) / 1000;

export function mount(section, context) {
  const { store } = context;
  const newestMap = newestWins();
  const newestPlace = newestWins();
  let current = null;
  let kept = null;
  let drawnMap = null;
  let keepTimer = null;
  let pressed = false;

  const canvas = h("canvas", { class: "pixels", "aria-hidden": "true" });
  const cross = h("span", { class: "cross", "aria-hidden": "true" });
  const corners = h("div", { class: "corners", "aria-hidden": "true" });
  const board = h("div", {
    class: "board", tabindex: "0", role: "application", "aria-roledescription": "map", "aria-label": "Map of the latent space",
    "aria-describedby": "map-help map-place",
  }, canvas, corners, cross);
  const liveImage = h("canvas", { class: "pixels map-live", "aria-hidden": "true" });
  const keptImage = h("div", {});
  const placeText = h("output", { id: "map-place", class: "off-screen" });
  const sliders = ["x", "y"].map((_, i) => h("input", { type: "range", oninput: () => keep(kept.with(i, Number(sliders[i].value))) }));
  const sliderOutputs = sliders.map(() => h("output"));
  const sliderFields = sliders.map((slider, i) => field(" ", slider, sliderOutputs[i]));

  const plane = h("select", { onchange: () => store.set({ plane: plane.value, at: null }, { push: true }) }, h("option", { value: "dimensions" }, "two dimensions"), h("option", { value: "seeds" }, "three seeds"));
  const planeField = field("Plane through", plane);
  const dims = ["x", "y"].map((name) => h("select", { onchange: (event) => store.set({ [name]: Number(event.target.value), at: null }, { push: true }) }));
  const dimFields = [field("Horizontal", dims[0]), field("Vertical", dims[1])];
  const around = h("select", { onchange: () => store.set({ z: null, at: null, seed: around.value === "zero" ? null : randomSeed() }, { push: true }) });
  const aroundField = field("Centre", around);
  const span = h("select", { onchange: () => store.set({ span: Number(span.value), at: null }, { push: true }) });
  const spanField = field("Range", span);
  const seeds = ["a", "b", "c"].map((name) => h("input", {
    type: "number", min: 0, max: 2 ** 32 - 1, step: 1, inputmode: "numeric", required: true,
    onchange: (event) => event.target.reportValidity() && store.set({ [name]: Number(event.target.value) }, { push: true }),
  }));
  const seedFields = seeds.map((input, i) => field(`Seed ${"ABC"[i]}`, input));
  const others = button("New seeds", () => store.set({ a: randomSeed(), b: randomSeed(), c: randomSeed() }, { push: true }));
  const controls = h("div", { class: "controls" }, planeField, ...dimFields, aroundField, spanField, ...seedFields, others);

  section.append(controls, h("div", { class: "map" },
    h("div", { class: "map-place-frame" }, h("div", { class: "map-face" }, keptImage, liveImage), placeText, ...sliderFields),
    h("div", {}, board, h("p", { class: "note", id: "map-help" }, "Point at a place to see its image. Click, drag or use the arrow keys to select a place."))));

  // --- the plane ---

  /**
   * Return the plane as {origin, across, up, home, edges, names}. The latent at a place [s, t] is
   * origin + s * across + t * up, with s and t from edges[0] to edges[1]. `home` is the place that is
   * selected first.
   */
  async function planeOf(values, model, signal) {
    const latentOf = async (seed) => (await askJson({ path: "generate", query: { model: model.ref, n: 1, seed } }, { signal })).images[0].z;
    if (values.plane === "seeds") {
      const [a, b, c] = await Promise.all([values.a, values.b, values.c].map(latentOf));
      return { origin: a, across: b.map((value, d) => value - a[d]), up: c.map((value, d) => value - a[d]), home: [0, 0], edges: [-0.5, 1.5], names: ["towards B", "towards C"] };
    }
    const [x, y] = dimensionsOf(values, model);
    const unit = (dim) => Array.from({ length: model.latent }, (_, d) => Number(d === dim));
    const centre = values.z ?? (values.seed === null ? new Array(model.latent).fill(0) : await latentOf(values.seed));
    return { origin: centre.map((value, d) => (d === x || d === y ? 0 : value)), across: unit(x), up: unit(y), home: [x, y].map((d) => Math.min(Math.max(centre[d], -values.span), values.span)), edges: [-values.span, values.span], names: [`z${x}`, `z${y}`] };
  }

  /** Return the latent at a place of the plane. */
  const latentAt = ({ origin, across, up }, [s, t]) => origin.map((value, d) => value + s * across[d] + t * up[d]);

  async function drawMap({ edges, ...plane }, model, signal) {
    const [width, height] = [SIDE * model.width, SIDE * model.height];
    canvas.width = width;
    canvas.height = height;
    const middle = (i) => edges[0] + ((i + 0.5) / SIDE) * (edges[1] - edges[0]);
    const brush = canvas.getContext("2d");
    for (let top = 0; top < SIDE && !signal.aborted; top += ROWS) {
      const z = Array.from({ length: ROWS * SIDE }, (_, i) => latentAt(plane, [middle(i % SIDE), middle(SIDE - 1 - top - Math.floor(i / SIDE))]));
      const bitmap = await bitmapOf(await (await ask({ path: "decode", query: { model: model.ref, columns: SIDE, metadata: false }, json: { z } }, { signal })).blob());
      if (signal.aborted) return;
      for (let i = 0; i < z.length; i++) {
        const [left, above] = placeInGrid(i, z.length, SIDE, model.width, model.height);
        brush.drawImage(bitmap, left, above, model.width, model.height, (i % SIDE) * model.width, (top + Math.floor(i / SIDE)) * model.height, model.width, model.height);
      }
    }
  }

  // --- the selected place ---

  const decodeNow = oneAtATime(async (place, signal) => {
    const { plane, model } = current;
    const response = await ask({ path: "decode", query: { model: model.ref, metadata: false }, json: { z: [latentAt(plane, place)] } }, { signal });
    const bitmap = await bitmapOf(await response.blob());
    if (signal.aborted) return;
    drawFromGrid(liveImage, bitmap, 0, 1, 1, model);
    liveImage.dataset.at = place.join(",");
  });

  /** Show the image at a place without selecting the place. */
  function preview(place) {
    const { edges: [min, max] } = current.plane;
    const percent = (value) => `${(100 * (value - min)) / (max - min)}%`;
    cross.style.left = percent(place[0]);
    cross.style.bottom = percent(place[1]);
    sliders.forEach((slider, i) => {
      slider.value = place[i];
      sliderOutputs[i].textContent = place[i].toFixed(2);
    });
    context.guard(() => decodeNow(place));
  }

  /** Select a place. It is stored in the state after a moment without changes. */
  function keep(place) {
    const [min, max] = current.plane.edges;
    kept = place.map((value) => round(Math.min(Math.max(value, min), max)));
    preview(kept);
    clearTimeout(keepTimer);
    keepTimer = setTimeout(() => store.set({ at: kept }), KEEP_MS);
  }

  function placeOf(event) {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const [min, max] = current.plane.edges;
    const coordinate = (fraction) => round(min + Math.min(Math.max(fraction, 0), 1) * (max - min));
    return [coordinate((event.clientX - left) / width), coordinate(1 - (event.clientY - top) / height)];
  }

  board.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !current) return;
    pressed = true;
    board.setPointerCapture(event.pointerId);
    keep(placeOf(event));
  });
  board.addEventListener("pointermove", (event) => {
    if (current) (pressed ? keep : preview)(placeOf(event));
  });
  const release = () => (pressed = false);
  board.addEventListener("pointerup", release);
  board.addEventListener("pointercancel", release);
  board.addEventListener("pointerleave", () => current && preview(kept));
  board.addEventListener("keydown", (event) => {
    const direction = KEYS[event.key];
    if (!current || (!direction && event.key !== "Home")) return;
    event.preventDefault();
    const [min, max] = current.plane.edges;
    const step = ((max - min) / STEPS) * (event.shiftKey ? 5 : 1);
    keep(direction ? kept.map((value, i) => value + step * direction[i]) : current.plane.home);
  });

  // --- showing ---

  const dimensionsOf = ({ x, y }, model) => {
    const exists = (dim) => dim !== null && dim < model.latent;
    const across = exists(x) ? x : model.latent === 2 ? 0 : model.ranked.find((dim) => dim !== y) ?? 0;
    const up = exists(y) && y !== across ? y : model.latent === 2 ? 1 - across : model.ranked.find((dim) => dim !== across) ?? 0;
    return [across, up];
  };

  function showControls(values, model) {
    const flat = model.latent <= 2;
    const bySeeds = values.plane === "seeds";
    planeField.hidden = flat;
    [...dimFields, aroundField].forEach((element) => (element.hidden = bySeeds || flat));
    spanField.hidden = bySeeds;
    [...seedFields, others].forEach((element) => (element.hidden = !bySeeds));
    plane.value = values.plane;
    const chosen = dimensionsOf(values, model);
    dims.forEach((select, i) => fill(select, model.ranked.map((dim) => [dim, model.kl_nats ? `z${dim} (${model.kl_nats[dim].toFixed(2)} nats)` : `z${dim}`]), chosen[i]));
    const here = values.z ? "an image" : `seed ${values.seed}`;
    fill(around, [["zero", "zero"], ...(values.z || values.seed !== null ? [["here", here]] : []), ["other", "a new seed"]], values.z || values.seed !== null ? "here" : "zero");
    fill(span, [...new Set([1, 2, 3, 4, values.span])].sort((p, q) => p - q).map((size) => [size, `±${size}`]), values.span);
    seeds.forEach((input, i) => (input.value = [values.a, values.b, values.c][i]));
  }

  function showPlane({ edges, names }, values) {
    const bySeeds = values.plane === "seeds";
    const percent = (value) => `${(100 * (value - edges[0])) / (edges[1] - edges[0])}%`;
    corners.replaceChildren(...(bySeeds ? [["A", 0, 0], ["B", 1, 0], ["C", 0, 1]] : []).map(([name, s, t]) => {
      const mark = h("span", {}, name);
      mark.style.left = percent(s);
      mark.style.bottom = percent(t);
      return mark;
    }));
    sliders.forEach((slider, i) => {
      Object.assign(slider, { min: edges[0], max: edges[1], step: "any" });
      sliderFields[i].querySelector("label").textContent = names[i];
    });
  }

  async function show(state, model) {
    const values = { ...state, z: state.z?.length === model.latent ? state.z : null, plane: model.latent <= 2 ? "dimensions" : state.plane };
    showControls(values, model);
    const { at, ...rest } = values;
    const key = JSON.stringify([model.ref, rest]);
    if (drawnMap !== key) {
      drawnMap = null;
      current = null;
      decodeNow.drop();
      const plane = await newestMap((signal) => planeOf(values, model, signal));
      if (!plane) return;
      current = { plane, model };
      drawnMap = key;
      showPlane(plane, values);
      context.guard(() => newestMap((signal) => drawMap(plane, model, signal)));
    }
    clearTimeout(keepTimer);
    kept = at ?? current.plane.home;
    preview(kept);
    const z = latentAt(current.plane, kept);
    const request = { path: "decode", query: { model: model.ref }, json: { z: [z] }, file: "image.png" };
    context.offer(request);
    const answer = await newestPlace((signal) => askJson(request, { signal }));
    if (!answer) return;
    const [image] = answer.images;
    const hadFocus = keptImage.contains(document.activeElement);
    keptImage.replaceChildren(tile({ png: image.png, z: image.z, seed: null, plain: false, model: model.ref, request }, context, { name: "Image at the selected place" }));
    if (hadFocus) keptImage.querySelector("button").focus();
    placeText.textContent = current.plane.names.map((name, i) => `${name} ${kept[i].toFixed(2)}`).join(", ");
    context.remember(`map at ${placeText.textContent}`, [...keptImage.querySelectorAll("img")]);
  }

  return { show };
}
