// One strip for each latent dimension; a tile becomes the new z.
import { ask, askJson, newestWins } from "../api.js";
import { latent, natural, real, seed } from "../codec.js";
import { button, field, fill, h } from "../dom.js";
import { bitmapOf, dataAddress, drawFromGrid } from "../pictures.js";
import { tile } from "../tiles.js";
import { randomSeed } from "./generate.js";

export const fields = { z: latent(), seed: seed(5), steps: natural(9, 3, 25), span: real(3, 0.5, 10) };

/** Images in one request, so that the first strips need not wait for the last. */
const TOGETHER = 72;

function recipe({ z, seed, steps, span }, model) {
  if (!z) return { path: "traverse", query: { model: model.ref, seed, steps, span }, file: "traversal.png" };
  return { path: "decode", query: { model: model.ref }, json: { z: [z] }, file: "image.png" };
}

export function mount(section, context) {
  const { store } = context;
  const newest = newestWins();
  const undone = [];
  let layout = null;
  let strips = new Map();
  let current = null;

  const face = h("div", { class: "slot-face" });
  const number = h("input", { type: "number", min: 0, max: 2 ** 32 - 1, step: 1, inputmode: "numeric", "aria-label": "Seed to start from", onchange: () => {
    if (number.value !== "" && number.reportValidity()) start({ seed: Number(number.value), z: null });
  } });
  const undo = button("Undo", back, { disabled: true });
  const steps = h("select", { onchange: () => store.set({ steps: Number(steps.value) }, { push: true }) });
  const span = h("select", { onchange: () => store.set({ span: Number(span.value) }, { push: true }) });
  const alive = h("div", { class: "strips" });
  const deadStrips = h("div", { class: "strips" });
  const deadName = h("summary", {});
  const dead = h("details", { class: "dead-dimensions", ontoggle: () => context.guard(decodeAll) }, deadName, deadStrips);
  section.append(h("div", { class: "split traverse" },
    h("div", { class: "side sticky" }, face, h("div", { class: "side-controls" },
      h("div", { class: "row" }, undo, button("New seed", () => start({ seed: randomSeed(), z: null })), button("Zero", () => start({ z: new Array(current.model.latent).fill(0) }), { title: "Start where every dimension is 0" })),
      field("Seed", number), h("div", { class: "row" }, field("Tiles", steps), field("Span", span)))),
    h("div", {}, alive, dead)));
  section.addEventListener("keydown", (event) => {
    if (event.key === "z" && (event.ctrlKey || event.metaKey) && event.target.tagName !== "INPUT") {
      event.preventDefault();
      back();
    }
  });

  function start(values) {
    const { z, seed } = store.state.values.traverse;
    undone.push({ z, seed });
    store.set(values, { push: true });
  }

  function back() {
    const before = undone.pop();
    if (before) store.set(before, { push: true });
  }

  const valueAt = (i, { steps, span }) => Math.fround(-span + (2 * span * i) / (steps - 1));

  function choose(dim, i) {
    const z = [...current.z];
    z[dim] = valueAt(i, current.values);
    start({ z });
  }

  // --- strips ---

  function build(model, { steps }) {
    strips = new Map(model.ranked.map((dim) => [dim, strip(dim, steps, model)]));
    const of = (dims) => dims.map((dim) => strips.get(dim).element);
    alive.replaceChildren(...of(model.ranked.filter((dim) => !model.dead.includes(dim))));
    deadStrips.replaceChildren(...of(model.dead));
    dead.hidden = !model.dead.length;
    deadName.textContent = `${model.dead.length} dead ${model.dead.length === 1 ? "dimension" : "dimensions"}: the model does not use ${model.dead.length === 1 ? "it" : "them"}`;
  }

  function strip(dim, steps, model) {
    const nats = model.kl_nats ? `${model.kl_nats[dim].toFixed(2)} nats` : "";
    const tiles = Array.from({ length: steps }, (_, i) =>
      button(h("canvas", { class: "pixels", width: model.width, height: model.height }), () => choose(dim, i), { class: "tile", role: "radio", "aria-checked": "false", tabindex: "-1" }));
    const row = h("div", { class: "strip", role: "radiogroup", "aria-label": `Dimension ${dim}${nats && `, ${nats}`}` }, ...tiles);
    row.style.setProperty("--across", steps);
    row.addEventListener("keydown", (event) => moveWithKeys(event, dim, tiles));
    return { tiles, element: h("div", { class: "dimension-strip" }, h("p", { class: "strip-name" }, h("strong", {}, `z${dim}`), " ", h("span", {}, nats)), row) };
  }

  function moveWithKeys(event, dim, tiles) {
    const i = tiles.indexOf(document.activeElement);
    const along = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tiles.length - 1 }[event.key];
    const across = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (along === undefined && across === undefined) return;
    event.preventDefault();
    if (across) {
      const seen = [...strips.values()].filter(({ element }) => element.checkVisibility());
      const next = seen[seen.findIndex((one) => one.tiles === tiles) + across];
      next?.tiles.find((one) => one.tabIndex === 0).focus();
    } else if (along >= 0 && along < tiles.length) {
      tiles[along].focus();
      choose(dim, along);
    }
  }

  /** Marks in each strip the tile nearest to z, which is where the Tab key arrives. */
  function mark({ z, values }) {
    const pitch = (2 * values.span) / (values.steps - 1);
    for (const [dim, { tiles }] of strips) {
      const at = Math.min(Math.max(Math.round((z[dim] + values.span) / pitch), 0), tiles.length - 1);
      tiles.forEach((one, i) => {
        const exact = i === at && z[dim] === valueAt(i, values);
        one.setAttribute("aria-checked", String(exact));
        one.classList.toggle("near", i === at);
        one.tabIndex = i === at ? 0 : -1;
        one.setAttribute("aria-label", `z${dim} = ${valueAt(i, values).toFixed(2)}`);
      });
    }
  }

  async function decodeAll() {
    const { z, model, values } = current;
    const dims = model.ranked.filter((dim) => !model.dead.includes(dim) || dead.open);
    const each = Math.max(1, Math.floor(TOGETHER / values.steps));
    const groups = Array.from({ length: Math.ceil(dims.length / each) }, (_, i) => dims.slice(i * each, (i + 1) * each));
    await newest((signal) => Promise.all(groups.map((group) => decode(group, { z, model, values }, signal))));
  }

  async function decode(dims, { z, model, values }, signal) {
    const rows = dims.flatMap((dim) => Array.from({ length: values.steps }, (_, i) => z.with(dim, valueAt(i, values))));
    const response = await ask({ path: "decode", query: { model: model.ref, columns: values.steps, metadata: false }, json: { z: rows } }, { signal });
    const bitmap = await bitmapOf(await response.blob());
    if (signal.aborted) return;
    dims.forEach((dim, row) => strips.get(dim).tiles.forEach((one, i) =>
      drawFromGrid(one.firstElementChild, bitmap, row * values.steps + i, rows.length, values.steps, model)));
  }

  // --- showing ---

  const newestCentre = newestWins();

  async function show(given, model) {
    const values = { ...given, z: given.z?.length === model.latent ? given.z : null };
    fill(steps, [...new Set([5, 7, 9, 11, 15, values.steps])].sort((a, b) => a - b).map((count) => [count, count]), values.steps);
    fill(span, [...new Set([1, 2, 3, 4, values.span])].sort((a, b) => a - b).map((size) => [size, `±${size}`]), values.span);
    number.value = values.z ? "" : values.seed;
    undo.disabled = !undone.length;
    context.offer(recipe(values, model));
    const centre = values.z
      ? { path: "decode", query: { model: model.ref }, json: { z: [values.z] } }
      : { path: "generate", query: { model: model.ref, n: 1, seed: values.seed } };
    const answer = await newestCentre((signal) => askJson(centre, { signal }));
    if (!answer) return;
    const [{ png, z }] = answer.images;
    const key = `${model.ref} ${values.steps}`;
    if (layout !== key) build(model, values);
    layout = key;
    current = { z, model, values };
    const held = face.contains(document.activeElement);
    const caption = values.z ? "z of your own" : `seed ${values.seed}`;
    face.replaceChildren(tile({ png, z, seed: values.z ? null : values.seed, plain: !values.z, model: model.ref, recipe: centre }, context, { caption, name: "The image at z" }));
    if (held) face.querySelector("button").focus();
    mark(current);
    await decodeAll();
    context.remember(values.z ? "a z of your own" : `dimensions around seed ${values.seed}`, [face.querySelector("img")]);
  }

  return { show };
}
