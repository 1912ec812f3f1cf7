// Directions with a meaning: strips of images along them, and sliders that edit an image.
//
// The service moves a z along a direction; `by` counts standard deviations of the data.
import { ask, askJson, newestNext, newestWins } from "./api.js";
import { blank, button, field, fill, h } from "./dom.js";
import { roving, setTabStop } from "./focus.js";
import { bitmapOf, drawFromGrid } from "./pictures.js";
import { tile } from "./tiles.js";

const CLASS = "class:";
/** Most images in one request. Several small requests show the first strips sooner. */
const IMAGES_PER_REQUEST = 72;
/** Largest move of a slider, in standard deviations. */
const FARTHEST = 3;

const isClass = (name) => name.startsWith(CLASS);
const shortName = (name) => (isClass(name) ? name.slice(CLASS.length) : name.replaceAll("_", " "));
const signed = (value) => `${value > 0 ? "+" : ""}${Number(value.toFixed(2))}`;

// --- strips ------------------------------------------------------------------------------------

/**
 * Create a strip of images for each direction. `choose(z)` is called with the z of a chosen image.
 *
 * Returns {element, show}; `show(z, model, {steps, span})` draws the strips around a z.
 */
export function directionStrips(choose, { busy, guard }) {
  const newest = newestWins();
  let strips = new Map();
  let layout = null;
  let current = null;

  const attributes = h("div", { class: "strips" });
  const classes = h("div", { class: "strips" });
  const more = h("details", { ontoggle: draw }, h("summary", {}, "Towards each class"), classes);
  const element = h("div", { class: "direction-strips", "data-result": "", hidden: true }, attributes, more);

  const valueAt = (i, { steps, span }) => Math.fround(-span + (2 * span * i) / (steps - 1));

  function build({ model, steps, span }) {
    strips = new Map(model.directions.map((name) => [name, strip(name, steps, span, model)]));
    const elementsOf = (names) => names.map((name) => strips.get(name).element);
    const named = model.directions.filter((name) => !isClass(name));
    attributes.replaceChildren(...elementsOf(named));
    classes.replaceChildren(...elementsOf(model.directions.filter(isClass)));
    more.hidden = named.length === model.directions.length;
    more.open = !named.length;
  }

  function strip(name, steps, span, model) {
    const tiles = Array.from({ length: steps }, (_, i) =>
      button(h("canvas", { class: "pixels", width: model.width, height: model.height }), () => guard(() => busy(element, () => move(name, valueAt(i, { steps, span })))), {
        class: `tile${2 * i === steps - 1 ? " near" : ""}`,
        "aria-label": `${shortName(name)} ${signed(valueAt(i, { steps, span }))}`,
      }));
    const row = h("div", { class: "strip", role: "group", "aria-label": `Direction ${shortName(name)}` }, ...tiles);
    row.style.setProperty("--across", steps);
    setTabStop(tiles, tiles[Math.floor(steps / 2)]);
    roving(row, () => tiles);
    return { tiles, element: h("div", { class: "dimension-strip" }, h("p", { class: "strip-name" }, h("strong", {}, shortName(name))), row) };
  }

  async function move(name, by) {
    const { model, z } = current;
    const { images } = await askJson({ path: "edit", query: { model: model.ref, direction: name, by: by.toFixed(6) }, json: { z: [z] } });
    choose(images[0].z);
  }

  /** Draw the strips of the current z. If that fails, no strip shows another z. */
  async function draw() {
    if (current) await guard(() => busy(element, decodeAll), draw);
  }

  async function decodeAll() {
    const { model, z, steps, span } = current;
    const names = model.directions.filter((name) => !isClass(name) || more.open);
    const size = Math.max(1, Math.floor(IMAGES_PER_REQUEST / steps));
    const groups = Array.from({ length: Math.ceil(names.length / size) }, (_, i) => names.slice(i * size, (i + 1) * size));
    const decodeGroups = (signal) => Promise.all(groups.map(async (group) => {
      const query = { model: model.ref, direction: group.join(","), steps, span, metadata: false };
      const response = await ask({ path: "traverse", query, json: { z: [z] } }, { signal });
      const bitmap = await bitmapOf(await response.blob());
      if (signal.aborted) return;
      group.forEach((name, row) => strips.get(name).tiles.forEach((one, i) =>
        drawFromGrid(one.firstElementChild, bitmap, row * steps + i, group.length * steps, steps, model)));
    }));
    try {
      await newest(decodeGroups);
    } catch (error) {
      for (const { tiles } of strips.values()) tiles.forEach((one) => blank(one.firstElementChild));
      throw error;
    }
  }

  async function show(z, model, { steps, span }) {
    current = { z, model, steps, span };
    const key = `${model.ref} ${steps} ${span}`;
    if (layout !== key) build(current);
    layout = key;
    await draw();
  }

  return { element, show };
}

// --- sliders -----------------------------------------------------------------------------------

/** Create sliders that edit an image. Returns {element, show}; `show(z, model)` edits the image of z. */
export function directionSliders(context) {
  const newest = newestNext();
  let ref = null;
  let start = null;
  let model = null;

  const edited = h("div", {});
  const sliders = h("div", { class: "direction-sliders" });
  const element = h("section", { class: "editing", "aria-label": "Edit", hidden: true },
    h("h3", {}, "Change what it shows"),
    h("div", { class: "edit" }, edited, h("div", {}, sliders, button("Reset", reset))));

  function build() {
    const attributes = model.directions.filter((name) => !isClass(name));
    const classes = model.directions.filter(isClass);
    sliders.replaceChildren(...attributes.map((name) => slider(shortName(name), () => name)));
    if (!classes.length) return;
    const select = h("select", { "aria-label": "Class", onchange: () => context.guard(request) });
    fill(select, classes.map((name) => [name, shortName(name)]), classes[0]);
    sliders.append(slider("towards class", () => select.value, select));
  }

  function slider(text, name, beside = null) {
    const output = h("output", {}, "0");
    const input = h("input", { type: "range", min: -FARTHEST, max: FARTHEST, step: 0.25, value: 0, oninput: () => {
      output.textContent = signed(Number(input.value));
      context.guard(request);
    } });
    input.directionName = name;
    return h("div", { class: "direction-slider" }, field(text, input, output), beside);
  }

  const inputs = () => [...sliders.querySelectorAll("input")];

  function reset() {
    for (const input of inputs()) {
      input.value = 0;
      input.dispatchEvent(new Event("input"));
    }
  }

  async function request() {
    const moves = inputs().filter((input) => Number(input.value) !== 0).map((input) => [input.directionName(), input.value]);
    const query = moves.length
      ? { direction: moves.map(([name]) => name).join(","), by: moves.map(([, by]) => by).join(",") }
      : { direction: model.directions[0], by: 0 };
    const asked = { path: "edit", query: { model: model.ref, ...query }, json: { z: [start] }, file: "edited.png" };
    const answer = await context.busy(edited, () => newest((signal) => askJson(asked, { signal }), { isLive: true }));
    if (!answer) return;
    const [{ png, z }] = answer.images;
    const item = { png, z, seed: null, plain: false, model: model.ref, request: asked };
    edited.replaceChildren(tile(item, context, { caption: "Edited", name: "Edited" }));
  }

  async function show(z, selected) {
    element.hidden = !z || !selected.directions.length;
    if (element.hidden) return;
    [start, model] = [z, selected];
    if (ref !== model.ref) build();
    ref = model.ref;
    await request();
  }

  return { element, show };
}
