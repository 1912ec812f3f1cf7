// A plane of the latent space as a picture: pointing at a place decodes it at once.
import { ask, askJson, newestWins } from "../api.js";
import { choice, latent, natural, pair, real, seed } from "../codec.js";
import { button, field, fill, h } from "../dom.js";
import { oneAtATime } from "../live.js";
import { bitmapOf, drawFromGrid, placeInGrid } from "../pictures.js";
import { tile } from "../tiles.js";
import { randomSeed } from "./generate.js";

/**
 * `plane` is of two dimensions, `x` and `y`, the others being those of `z`, of `seed`, or 0; or it
 * goes through the latents of three seeds, `a`, `b` and `c`. `at` is the place on it: units of z
 * along x and y, or shares of the ways from a to b and from a to c; null where it was made around.
 */
export const fields = {
  plane: choice("dimensions", ["dimensions", "seeds"]),
  x: natural(null, 0, 65535), y: natural(null, 0, 65535), z: latent(), seed: seed(null), span: real(3, 0.5, 10),
  a: seed(1), b: seed(2), c: seed(3),
  at: pair(null),
};

/** Tiles along each side: odd, so that one is at the centre. */
const SIDE = 15;
/** Rows in one request, so that a pointer need not wait for the whole map. */
const ROWS = 3;
const STEPS = 60;
/** Browsers refuse an address that changes many times a second. */
const KEPT_MS = 250;
const KEYS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

const round = (value) => Math.round(value * 1000) / 1000;

export function mount(section, context) {
  const { store } = context;
  const newestMap = newestWins();
  const newestPlace = newestWins();
  let current = null;
  let kept = null;
  let drawnMap = null;
  let keeping = null;
  let pressed = false;

  const canvas = h("canvas", { class: "pixels", "aria-hidden": "true" });
  const cross = h("span", { class: "cross", "aria-hidden": "true" });
  const corners = h("div", { class: "corners", "aria-hidden": "true" });
  const board = h("div", {
    class: "board", tabindex: "0", role: "application", "aria-roledescription": "map", "aria-label": "Map of the latent space",
    "aria-describedby": "map-help map-place",
  }, canvas, corners, cross);
  const face = h("canvas", { class: "pixels map-live", "aria-hidden": "true" });
  const held = h("div", {});
  const place = h("output", { id: "map-place", class: "off-screen" });
  const sliders = ["x", "y"].map((_, i) => h("input", { type: "range", oninput: () => keep(kept.with(i, Number(sliders[i].value))) }));
  const numbers = sliders.map(() => h("output"));
  const sliderFields = sliders.map((slider, i) => field(" ", slider, numbers[i]));

  const plane = h("select", { onchange: () => store.set({ plane: plane.value, at: null }, { push: true }) }, h("option", { value: "dimensions" }, "two dimensions"), h("option", { value: "seeds" }, "three seeds"));
  const planeField = field("A plane of", plane);
  const dims = ["x", "y"].map((name) => h("select", { onchange: (event) => store.set({ [name]: Number(event.target.value), at: null }, { push: true }) }));
  const dimFields = [field("Across", dims[0]), field("Up", dims[1])];
  const around = h("select", { onchange: () => store.set({ z: null, at: null, seed: around.value === "zero" ? null : randomSeed() }, { push: true }) });
  const aroundField = field("Around", around);
  const span = h("select", { onchange: () => store.set({ span: Number(span.value), at: null }, { push: true }) });
  const spanField = field("Span", span);
  const seeds = ["a", "b", "c"].map((name) => h("input", {
    type: "number", min: 0, max: 2 ** 32 - 1, step: 1, inputmode: "numeric", required: true,
    onchange: (event) => event.target.reportValidity() && store.set({ [name]: Number(event.target.value) }, { push: true }),
  }));
  const seedFields = seeds.map((input, i) => field(`Seed ${"ABC"[i]}`, input));
  const others = button("New seeds", () => store.set({ a: randomSeed(), b: randomSeed(), c: randomSeed() }, { push: true }));
  const controls = h("div", { class: "controls" }, planeField, ...dimFields, aroundField, spanField, ...seedFields, others);

  section.append(controls, h("div", { class: "map" },
    h("div", { class: "map-place-frame" }, h("div", { class: "map-face" }, held, face), place, ...sliderFields),
    h("div", {}, board, h("p", { class: "note", id: "map-help" }, "Point, and the image of that place appears; click, drag or use the arrow keys to stay there."))));

  // --- the plane ---

  /** A place (s, t) -> z = origin + s * across + t * up, from `edges[0]` to `edges[1]`, `home` first. */
  async function planeOf(values, model, signal) {
    const latentOf = async (seed) => (await askJson({ path: "generate", query: { model: model.ref, n: 1, seed } }, { signal })).images[0].z;
    if (values.plane === "seeds") {
      const [a, b, c] = await Promise.all([values.a, values.b, values.c].map(latentOf));
      return { origin: a, across: b.map((value, d) => value - a[d]), up: c.map((value, d) => value - a[d]), home: [0, 0], edges: [-0.5, 1.5], names: ["to B", "to C"] };
    }
    const [x, y] = dimensionsOf(values, model);
    const unit = (dim) => Array.from({ length: model.latent }, (_, d) => Number(d === dim));
    const centre = values.z ?? (values.seed === null ? new Array(model.latent).fill(0) : await latentOf(values.seed));
    return { origin: centre.map((value, d) => (d === x || d === y ? 0 : value)), across: unit(x), up: unit(y), home: [x, y].map((d) => Math.min(Math.max(centre[d], -values.span), values.span)), edges: [-values.span, values.span], names: [`z${x}`, `z${y}`] };
  }

  const at = ({ origin, across, up }, [s, t]) => origin.map((value, d) => value + s * across[d] + t * up[d]);

  async function drawMap({ edges, ...plane }, model, signal) {
    const [width, height] = [SIDE * model.width, SIDE * model.height];
    canvas.width = width;
    canvas.height = height;
    const middle = (i) => edges[0] + ((i + 0.5) / SIDE) * (edges[1] - edges[0]);
    const brush = canvas.getContext("2d");
    for (let top = 0; top < SIDE && !signal.aborted; top += ROWS) {
      const z = Array.from({ length: ROWS * SIDE }, (_, i) => at(plane, [middle(i % SIDE), middle(SIDE - 1 - top - Math.floor(i / SIDE))]));
      const bitmap = await bitmapOf(await (await ask({ path: "decode", query: { model: model.ref, columns: SIDE, metadata: false }, json: { z } }, { signal })).blob());
      if (signal.aborted) return;
      for (let i = 0; i < z.length; i++) {
        const [left, above] = placeInGrid(i, z.length, SIDE, model.width, model.height);
        brush.drawImage(bitmap, left, above, model.width, model.height, (i % SIDE) * model.width, (top + Math.floor(i / SIDE)) * model.height, model.width, model.height);
      }
    }
  }

  // --- a place on it ---

  const decodeNow = oneAtATime(async (place, signal) => {
    const { plane, model } = current;
    const response = await ask({ path: "decode", query: { model: model.ref, metadata: false }, json: { z: [at(plane, place)] } }, { signal });
    const bitmap = await bitmapOf(await response.blob());
    if (signal.aborted) return;
    drawFromGrid(face, bitmap, 0, 1, 1, model);
    face.dataset.at = place.join(",");
  });

  /** Show a place at once, without keeping it. */
  function look(place) {
    const { edges: [least, greatest] } = current.plane;
    const share = (value) => `${(100 * (value - least)) / (greatest - least)}%`;
    cross.style.left = share(place[0]);
    cross.style.bottom = share(place[1]);
    sliders.forEach((slider, i) => {
      slider.value = place[i];
      numbers[i].textContent = place[i].toFixed(2);
    });
    context.guard(() => decodeNow(place));
  }

  /** Show a place and make it the state once it stays for a moment. */
  function keep(next) {
    const [least, greatest] = current.plane.edges;
    kept = next.map((value) => round(Math.min(Math.max(value, least), greatest)));
    look(kept);
    clearTimeout(keeping);
    keeping = setTimeout(() => store.set({ at: kept }), KEPT_MS);
  }

  function placeOf(event) {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const [least, greatest] = current.plane.edges;
    const within = (share) => round(least + Math.min(Math.max(share, 0), 1) * (greatest - least));
    return [within((event.clientX - left) / width), within(1 - (event.clientY - top) / height)];
  }

  board.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !current) return;
    pressed = true;
    board.setPointerCapture(event.pointerId);
    keep(placeOf(event));
  });
  board.addEventListener("pointermove", (event) => {
    if (current) (pressed ? keep : look)(placeOf(event));
  });
  const release = () => (pressed = false);
  board.addEventListener("pointerup", release);
  board.addEventListener("pointercancel", release);
  board.addEventListener("pointerleave", () => current && look(kept));
  board.addEventListener("keydown", (event) => {
    const way = KEYS[event.key];
    if (!current || (!way && event.key !== "Home")) return;
    event.preventDefault();
    const [least, greatest] = current.plane.edges;
    const step = ((greatest - least) / STEPS) * (event.shiftKey ? 5 : 1);
    keep(way ? kept.map((value, i) => value + step * way[i]) : current.plane.home);
  });

  // --- showing ---

  const dimensionsOf = ({ x, y }, model) => {
    const known = (dim) => dim !== null && dim < model.latent;
    const across = known(x) ? x : model.latent === 2 ? 0 : model.ranked.find((dim) => dim !== y) ?? 0;
    const up = known(y) && y !== across ? y : model.latent === 2 ? 1 - across : model.ranked.find((dim) => dim !== across) ?? 0;
    return [across, up];
  };

  function showControls(values, model) {
    const flat = model.latent <= 2;
    const bySeeds = values.plane === "seeds";
    planeField.hidden = flat;
    [...dimFields, aroundField].forEach((one) => (one.hidden = bySeeds || flat));
    spanField.hidden = bySeeds;
    [...seedFields, others].forEach((one) => (one.hidden = !bySeeds));
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
    const share = (value) => `${(100 * (value - edges[0])) / (edges[1] - edges[0])}%`;
    corners.replaceChildren(...(bySeeds ? [["A", 0, 0], ["B", 1, 0], ["C", 0, 1]] : []).map(([name, s, t]) => {
      const mark = h("span", {}, name);
      mark.style.left = share(s);
      mark.style.bottom = share(t);
      return mark;
    }));
    sliders.forEach((slider, i) => {
      Object.assign(slider, { min: edges[0], max: edges[1], step: "any" });
      sliderFields[i].querySelector("label").textContent = names[i];
    });
  }

  async function show(given, model) {
    const values = { ...given, z: given.z?.length === model.latent ? given.z : null, plane: model.latent <= 2 ? "dimensions" : given.plane };
    showControls(values, model);
    const { at: wished, ...rest } = values;
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
    clearTimeout(keeping);
    kept = wished ?? current.plane.home;
    look(kept);
    const z = at(current.plane, kept);
    const recipe = { path: "decode", query: { model: model.ref }, json: { z: [z] }, file: "image.png" };
    context.offer(recipe);
    const answer = await newestPlace((signal) => askJson(recipe, { signal }));
    if (!answer) return;
    const [image] = answer.images;
    const focused = held.contains(document.activeElement);
    held.replaceChildren(tile({ png: image.png, z: image.z, seed: null, plain: false, model: model.ref, recipe }, context, { name: "The image at this place" }));
    if (focused) held.querySelector("button").focus();
    place.textContent = current.plane.names.map((name, i) => `${name} ${kept[i].toFixed(2)}`).join(", ");
    context.remember(`a place on a map: ${place.textContent}`, [...held.querySelectorAll("img")]);
  }

  return { show };
}
