// Directions with a meaning: strips of images along them, and sliders that edit an image.
//
// `by` counts standard deviations of the data. The page moves and decodes by itself if it can (moves.js), and
// otherwise the service does.
import { ask, askJson, newestNext, newestWins } from "./api.js";
import { drawPicture, itemsOf, openDecoder } from "./decoding.js";
import { blank, button, field, fill, h } from "./dom.js";
import { roving, setTabStop } from "./focus.js";
import { directionsOf, movedLatents } from "./moves.js";
import { bitmapOf, drawFromGrid } from "./pictures.js";
import { changeTile, tile } from "./tiles.js";

const CLASS = "class:";
/** Most images in one request. Several small requests show the first strips sooner. */
const IMAGES_PER_REQUEST = 72;
/** Largest move of a slider, in standard deviations. */
const FARTHEST = 3;

const isClass = (name) => name.startsWith(CLASS);
const shortName = (name) => (isClass(name) ? name.slice(CLASS.length) : name.replaceAll("_", " "));
const signed = (value) => `${value > 0 ? "+" : ""}${Number(value.toFixed(2))}`;

/** Load the directions of a version once the page decodes by itself, so that it moves latents without the network. */
async function loadSteps(model) {
  const { local } = await (await openDecoder(model)).ready;
  if (local) await directionsOf(model).catch(() => {}); // Whoever needs them tries again, and says what failed.
}

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
    const decoder = await openDecoder(model);
    if (decoder.local) return choose((await movedLatents(await directionsOf(model), decoder, z, [[[name, by]]]))[0]);
    const { images } = await askJson({ path: "edit", query: { model: model.ref, direction: name, by: by.toFixed(6) }, json: { z: [z] } });
    return choose(images[0].z);
  }

  /** Draw the strips of the current z. If that fails, no strip shows another z. */
  async function draw() {
    if (current) await guard(() => busy(element, decodeAll), draw);
  }

  async function decodeAll() {
    const { model, steps } = current;
    const around = current;
    const names = model.directions.filter((name) => !isClass(name) || more.open);
    const size = Math.max(1, Math.floor(IMAGES_PER_REQUEST / steps));
    const groups = Array.from({ length: Math.ceil(names.length / size) }, (_, i) => names.slice(i * size, (i + 1) * size));
    try {
      const decoder = await openDecoder(model);
      const decode = decoder.local ? decodeHere(decoder, around) : askFor(around);
      await newest((signal) => Promise.all(groups.map((group) => decode(group, signal))));
    } catch (error) {
      for (const { tiles } of strips.values()) tiles.forEach((one) => blank(one.firstElementChild));
      throw error;
    }
  }

  /** Return a function that decodes a group of strips in the page. */
  function decodeHere(decoder, { model, z, steps, span }) {
    return async (group, signal) => {
      const moves = group.flatMap((name) => Array.from({ length: steps }, (_, i) => [[name, valueAt(i, { steps, span })]]));
      const pictures = await decoder.decode(await movedLatents(await directionsOf(model), decoder, z, moves), { signal });
      if (signal.aborted) return;
      group.forEach((name, row) => strips.get(name).tiles.forEach((one, i) => drawPicture(one.firstElementChild, model, pictures[row * steps + i])));
    };
  }

  /** Return a function that asks the service for a group of strips. */
  function askFor({ model, z, steps, span }) {
    return async (group, signal) => {
      const query = { model: model.ref, direction: group.join(","), steps, span, metadata: false };
      const response = await ask({ path: "traverse", query, json: { z: [z] } }, { signal });
      const bitmap = await bitmapOf(await response.blob());
      if (signal.aborted) return;
      group.forEach((name, row) => strips.get(name).tiles.forEach((one, i) =>
        drawFromGrid(one.firstElementChild, bitmap, row * steps + i, group.length * steps, steps, model)));
    };
  }

  async function show(z, model, { steps, span }) {
    current = { z, model, steps, span };
    const key = `${model.ref} ${steps} ${span}`;
    if (layout !== key) build(current);
    layout = key;
    loadSteps(model);
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
  let shown = null;

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
    const moves = inputs().filter((input) => Number(input.value) !== 0).map((input) => [input.directionName(), Number(input.value)]);
    const query = moves.length
      ? { direction: moves.map(([name]) => name).join(","), by: moves.map(([, by]) => by).join(",") }
      : { direction: model.directions[0], by: 0 };
    const asked = { path: "edit", query: { model: model.ref, ...query }, json: { z: [start] }, file: "edited.png" };
    const from = { model, z: start };
    const answer = await context.busy(edited, () => newest((signal) => edit(from, moves, asked, signal), { isLive: true }));
    if (!answer || start !== from.z) return;
    const { png, z } = answer;
    const item = { png, z, seed: null, plain: false, model: from.model.ref, request: asked };
    if (shown?.model === item.model) return changeTile(edited.firstElementChild, Object.assign(shown, item));
    shown = item;
    edited.replaceChildren(tile(shown, context, { caption: "Edited", name: "Edited" }));
  }

  /** Return the item of an edited image: made by the page if it can, and otherwise by the service. */
  async function edit({ model, z }, moves, request, signal) {
    const decoder = await openDecoder(model);
    if (!decoder.local) return (await askJson(request, { signal })).images[0];
    const [item] = await itemsOf(model, decoder, await movedLatents(await directionsOf(model), decoder, z, [moves]), { signal });
    return item;
  }

  async function show(z, selected) {
    element.hidden = !z || !selected.directions.length;
    if (element.hidden) return;
    [start, model] = [z, selected];
    if (ref !== model.ref) build();
    ref = model.ref;
    loadSteps(model);
    await request();
  }

  return { element, show };
}
