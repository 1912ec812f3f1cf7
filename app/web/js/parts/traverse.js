// Traverse: one strip of images for each latent dimension, or for each direction with a meaning. Choosing an image makes its z the new z.
import { askJson, newestNext } from "../api.js";
import { choice, latent, natural, real, seed } from "../codec.js";
import { drawPicture, itemsOf, openDecoder } from "../decoding.js";
import { directionStrips } from "../directions.js";
import { blank, button, field, fill, h } from "../dom.js";
import { term } from "../explain.js";
import { OF_A_FLOW } from "../model_words.js";
import { standardNormal } from "../noise.js";
import { tile } from "../tiles.js";
import { randomSeed } from "./generate.js";

/** Seed 33 is an 8 in the model that ships as the default, and most strips change it visibly. */
export const fields = {
  z: { ...latent(), instead: ({ seed: first }) => `The z of seed ${first} is used instead.` }, seed: seed(33), steps: natural(9, 3, 25), span: real(3, 0.5, 10),
  rows: {
    ...choice("dimensions", ["dimensions", "directions"]),
    misfit: (value, model) => (value === "dimensions" || model.directions.length ? null : `${model.ref} has no directions.`),
  },
};

/** Strips that are shown at first: the most informative ones. */
const SHOWN = 12;

/** Most images in one request. Several small requests show the first strips sooner. */
const IMAGES_PER_REQUEST = 72;

/** Images that the page decodes at once: about as many as one core decodes in a frame of 1/60 s. */
const IMAGES_PER_FRAME = 4;

function requestFor({ z, seed, steps, span, rows }, model) {
  if (rows === "directions") {
    const direction = model.directions.slice(0, Math.max(1, Math.floor(IMAGES_PER_REQUEST / steps))).join(",");
    const query = { model: model.ref, direction, steps, span };
    return { path: "traverse", query: z ? query : { ...query, seed }, ...(z && { json: { z: [z] } }), file: "traversal.png" };
  }
  if (!z) return { path: "traverse", query: { model: model.ref, seed, steps, span }, file: "traversal.png" };
  return { path: "decode", query: { model: model.ref }, json: { z: [z] }, file: "image.png" };
}

/** Return the sentences that explain strips of directions. */
const aboutDirections = () => ["Each strip moves ", term("z"), " along a direction with a name: what changes most along it, such as the slant, or the class that it leads to. The middle is the image itself, and ±1 is one standard deviation of the training images along it. Choose an image to continue from its z."];

export function mount(section, context) {
  const { store } = context;
  const newest = newestNext();
  const newestCentre = newestNext();
  const previous = [];
  let layout = null;
  let strips = new Map();
  let current = null;

  const title = section.querySelector("h2");
  const lede = section.querySelector(".lede");
  const headings = { dimensions: [title.textContent, [...lede.childNodes]], directions: ["What each direction changes", aboutDirections()] };
  const frame = h("div", { class: "slot-face", "data-result": "" });
  const seedInput = h("input", { type: "number", min: 0, max: 2 ** 32 - 1, step: 1, inputmode: "numeric", "aria-label": "Seed to start from", onchange: () => {
    if (seedInput.value !== "" && seedInput.reportValidity()) start({ seed: Number(seedInput.value), z: null });
  } });
  const undo = button("Undo", back, { disabled: true });
  const steps = h("select", { onchange: () => store.set({ steps: Number(steps.value) }, { push: true }) });
  const span = h("select", { onchange: () => store.set({ span: Number(span.value) }, { push: true }) });
  const rows = h("select", { onchange: () => store.set({ rows: rows.value }, { push: true }) });
  const rowsField = field("Strips", rows);
  const directions = directionStrips((z) => start({ z }), context);
  const activeStrips = h("div", { class: "strips" });
  const moreStrips = h("div", { class: "strips" });
  const moreSummary = h("summary", {});
  const more = h("details", { class: "more-dimensions", ontoggle: drawStrips }, moreSummary, moreStrips);
  const deadStrips = h("div", { class: "strips" });
  const deadSummary = h("summary", {});
  const dead = h("details", { class: "dead-dimensions", ontoggle: drawStrips }, deadSummary, deadStrips);
  const flowNote = h("p", { class: "note flow-note" }, OF_A_FLOW);
  const ends = h("div", { class: "strip-values" });
  const axis = h("div", { class: "dimension-strip strip-axis", "aria-hidden": "true" }, h("span", { class: "strip-name" }), ends);
  const dimensions = h("div", { "data-result": "" }, activeStrips, more, dead);
  section.append(h("div", { class: "split traverse" },
    h("div", { class: "side sticky" }, frame, h("div", { class: "side-controls" },
      h("div", { class: "row" }, button("New seed", () => start({ seed: randomSeed(), z: null }), { class: "primary" }), undo, button("z = 0", () => start({ z: new Array(current.model.latent).fill(0) }), { title: "Start from the z in which every dimension is 0" })),
      field("Seed", seedInput), rowsField, h("div", { class: "row" }, field("Images", steps), field("Range", span)))),
    h("div", {}, flowNote, axis, dimensions, directions.element)));
  section.addEventListener("keydown", (event) => {
    if (event.key === "z" && (event.ctrlKey || event.metaKey) && event.target.tagName !== "INPUT") {
      event.preventDefault();
      back();
    }
  });

  /** Start from another z. `isLive` is true while a key is held down. */
  function start(values, { isLive = false } = {}) {
    const { z, seed } = store.state.values.traverse;
    if (!isLive) previous.push({ z, seed });
    store.set(values, { push: !isLive });
  }

  function back() {
    const values = previous.pop();
    if (values) store.set(values, { push: true });
  }

  const valueAt = (i, { steps, span }) => Math.fround(-span + (2 * span * i) / (steps - 1));

  function choose(dim, i, options) {
    const { z, steps, span } = store.state.values.traverse;
    start({ z: (z ?? current.z).with(dim, valueAt(i, { steps, span })) }, options);
  }

  // --- strips ---

  function build(model, { steps }) {
    strips = new Map(model.ranked.map((dim) => [dim, strip(dim, steps, model)]));
    const elementsOf = (dims) => dims.map((dim) => strips.get(dim).element);
    const active = model.ranked.filter((dim) => !model.dead.includes(dim));
    activeStrips.replaceChildren(...elementsOf(active.slice(0, SHOWN)));
    moreStrips.replaceChildren(...elementsOf(active.slice(SHOWN)));
    more.hidden = active.length <= SHOWN;
    moreSummary.textContent = `${active.length - SHOWN} more ${active.length - SHOWN === 1 ? "dimension" : "dimensions"}, less informative ones`;
    deadStrips.replaceChildren(...elementsOf(model.dead));
    dead.hidden = !model.dead.length;
    deadSummary.textContent = `${model.dead.length} dead ${model.dead.length === 1 ? "dimension" : "dimensions"}: the model does not use ${model.dead.length === 1 ? "it" : "them"}`;
  }

  function strip(dim, steps, model) {
    const nats = model.kl_nats ? `${model.kl_nats[dim].toFixed(2)} nats` : "";
    const tiles = Array.from({ length: steps }, (_, i) =>
      button(h("canvas", { class: "pixels", width: model.width, height: model.height }), () => choose(dim, i), { class: "tile", role: "radio", "aria-checked": "false", tabindex: "-1" }));
    const row = h("div", { class: "strip", role: "radiogroup", "aria-label": `Dimension ${dim}${nats && `, ${nats}`}` }, ...tiles);
    row.style.setProperty("--across", steps);
    row.addEventListener("keydown", (event) => moveWithKeys(event, dim, tiles));
    const pieces = Array.from({ length: Math.ceil(steps / IMAGES_PER_FRAME) }, (_, piece) => ({ dim, from: piece * IMAGES_PER_FRAME, shows: null, turn: 0 }));
    return { tiles, pieces, element: h("div", { class: "dimension-strip" }, h("p", { class: "strip-name" }, h("strong", {}, `${model.space}${dim}`), " ", h("span", {}, nats)), row) };
  }

  function moveWithKeys(event, dim, tiles) {
    const i = tiles.indexOf(document.activeElement);
    const along = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tiles.length - 1 }[event.key];
    const across = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (along === undefined && across === undefined) return;
    event.preventDefault();
    if (across) {
      const visible = visibleStrips();
      const next = visible[visible.findIndex(([, strip]) => strip.tiles === tiles) + across];
      next?.[1].tiles.find((one) => one.tabIndex === 0).focus();
    } else if (along >= 0 && along < tiles.length) {
      tiles[along].focus();
      choose(dim, along, { isLive: event.repeat });
    }
  }

  /** Mark in each strip the image nearest to z. The Tab key moves the focus to it. */
  function mark({ z, model, values }) {
    const pitch = (2 * values.span) / (values.steps - 1);
    for (const [dim, { tiles }] of strips) {
      const at = Math.min(Math.max(Math.round((z[dim] + values.span) / pitch), 0), tiles.length - 1);
      tiles.forEach((one, i) => {
        const exact = i === at && z[dim] === valueAt(i, values);
        one.setAttribute("aria-checked", String(exact));
        one.classList.toggle("near", i === at);
        one.tabIndex = i === at ? 0 : -1;
        one.setAttribute("aria-label", `${model.space}${dim} = ${valueAt(i, values).toFixed(2)}`);
      });
    }
  }

  /** Draw the strips of the current z. If that fails, no strip shows another z. */
  async function drawStrips() {
    if (current) await context.guard(() => context.busy(dimensions, decodeAll), drawStrips);
  }

  async function decodeAll() {
    const decoder = await openDecoder(current.model);
    try {
      // While a key is held down, the work in progress is finished first, so that some strips are shown on the way.
      await newest(decoder.local ? (signal) => decodeInTurn(decoder, signal) : (signal) => decodeTogether(decoder, signal), { isLive: store.state.isLive });
    } catch (error) {
      for (const { tiles, pieces } of strips.values()) {
        tiles.forEach((one) => blank(one.firstElementChild));
        for (const piece of pieces) piece.shows = null;
      }
      throw error;
    }
  }

  const visibleStrips = () => [...strips].filter(([, { element }]) => element.checkVisibility());

  /** Decode with the network: a few strips in each request. */
  async function decodeTogether(decoder, signal) {
    const state = current;
    const dims = visibleStrips().map(([dim]) => dim);
    const size = Math.max(1, Math.floor(IMAGES_PER_REQUEST / state.values.steps));
    const groups = Array.from({ length: Math.ceil(dims.length / size) }, (_, i) => dims.slice(i * size, (i + 1) * size));
    await Promise.all(groups.map((group) => decode(decoder, group.flatMap((dim) => strips.get(dim).pieces), state, signal)));
  }

  /**
   * Decode without the network: one piece of a strip in each frame, the one that was drawn longest ago, at
   * the z of that moment, until all show the same z. So the strips follow a key that is held down.
   */
  async function decodeInTurn(decoder, signal) {
    const stale = () => visibleStrips().flatMap(([, { pieces }]) => pieces).filter(({ shows }) => shows !== current);
    for (let turn = 1, pieces; !signal.aborted && (pieces = stale()).length; turn += 1) {
      const oldest = pieces.reduce((one, other) => (other.turn < one.turn ? other : one));
      oldest.turn = turn;
      await decode(decoder, [oldest], current, signal);
    }
    for (const { pieces } of strips.values()) for (const piece of pieces) piece.turn = 0;
  }

  /** Decode some pieces of strips at a state, {z, model, values}, and draw them. */
  async function decode(decoder, pieces, state, signal) {
    const { z, model, values } = state;
    const places = pieces.flatMap(({ dim, from }) => strips.get(dim).tiles.slice(from, from + IMAGES_PER_FRAME).map((one, i) => ({ one, row: z.with(dim, valueAt(from + i, values)) })));
    const pictures = await decoder.decode(places.map(({ row }) => row), { signal });
    if (signal.aborted) return;
    places.forEach(({ one }, i) => drawPicture(one.firstElementChild, model, pictures[i]));
    for (const piece of pieces) piece.shows = state;
  }

  // --- showing ---

  /** Return the item of the image at z: decoded by the page if it can, and otherwise by the service. */
  async function centreOf({ z, seed }, model, request, signal) {
    const decoder = await openDecoder(model);
    if (decoder.local) return (await itemsOf(model, decoder, [z ?? standardNormal(seed, model.latent)], { signal }))[0];
    return (await askJson(request, { signal })).images[0];
  }

  function showHeading(rows) {
    const [text, words] = headings[rows];
    if (title.textContent === text) return;
    title.textContent = text;
    lede.replaceChildren(...words);
  }

  /** Write the values of the first, the middle and the last image above the strips. */
  function showAxis({ rows, steps, span }, { space }) {
    axis.classList.toggle("of-directions", rows === "directions");
    axis.firstElementChild.textContent = rows === "directions" ? "" : `value of ${space}`;
    ends.style.setProperty("--across", steps);
    ends.replaceChildren(...[`−${span}`, "0", `+${span}`].map((value) => h("span", {}, value)));
  }

  function showControls(values, model) {
    fill(rows, [["dimensions", "One dimension each"], ["directions", "Named directions"]], values.rows);
    flowNote.hidden = model.space !== "u" || values.rows === "directions";
    showAxis(values, model);
    rowsField.hidden = !model.directions.length;
    showHeading(values.rows);
    dimensions.hidden = values.rows === "directions";
    directions.element.hidden = values.rows !== "directions";
    fill(steps, [...new Set([5, 7, 9, 11, 15, values.steps])].sort((a, b) => a - b).map((count) => [count, count]), values.steps);
    fill(span, [...new Set([1, 2, 3, 4, values.span])].sort((a, b) => a - b).map((size) => [size, `±${size}`]), values.span);
    seedInput.value = values.z ? "" : values.seed;
    undo.disabled = !previous.length;
    context.offer(requestFor(values, model));
  }

  async function show(values, model) {
    showControls(values, model);
    const request = values.z
      ? { path: "decode", query: { model: model.ref }, json: { z: [values.z] } }
      : { path: "generate", query: { model: model.ref, n: 1, seed: values.seed } };
    const answer = await newestCentre((signal) => centreOf(values, model, request, signal), { isLive: store.state.isLive });
    if (!answer) return;
    const { png, z } = answer;
    const key = `${model.ref} ${values.steps}`;
    if (layout !== key) build(model, values);
    layout = key;
    current = { z, model, values };
    const hadFocus = frame.contains(document.activeElement);
    const caption = values.z ? "modified z" : `seed ${values.seed}`;
    frame.replaceChildren(tile({ png, z, seed: values.z ? null : values.seed, plain: !values.z, model: model.ref, request }, context, { caption, name: "Image at z" }));
    if (hadFocus) frame.querySelector("button").focus();
    mark(current);
    await (values.rows === "directions" ? directions.show(z, model, values) : drawStrips());
    context.remember(values.z ? "traversal from a modified z" : `traversal from seed ${values.seed}`, [frame.querySelector("img")]);
  }

  return { show, controls: showControls };
}
