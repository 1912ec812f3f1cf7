// Interpolate: the images on the way from A to B through the latent space.
import { ask, askJson, newestWins } from "../api.js";
import { choice, end, natural, real, toBase64 } from "../codec.js";
import { itemsOf, openDecoder, pngOf } from "../decoding.js";
import { button, field, fill, h, save } from "../dom.js";
import { roving, setTabStop } from "../focus.js";
import { levelsOf } from "../levels.js";
import { standardNormal } from "../noise.js";
import { pathBetween } from "../paths.js";
import { dataAddress } from "../pictures.js";
import { addressOf } from "../request.js";
import { tile } from "../tiles.js";
import { preprocessOf } from "../uploads.js";
import { randomSeed } from "./generate.js";

/** In the model that ships as the default, a 4 becomes a 9. */
export const fields = {
  a: end({ seed: 50 }),
  b: end({ seed: 31 }),
  steps: natural(16, 2, 64),
  path: choice("slerp", ["linear", "slerp"]),
  t: real(0.5, 0, 1),
};

/** Time per frame while playing. */
const FRAME_MS = 110;
/** Fewest columns of the strip of frames, so that few frames are not enlarged. */
const MIN_COLUMNS = 8;

function requestFor({ a, b, steps, path }, model) {
  const images = Object.fromEntries(Object.entries({ a, b }).filter(([, { png }]) => png).map(([name, { png }]) => [name, png]));
  const pngs = Object.values(images);
  const query = { model: model.ref, seed_a: a.seed, seed_b: b.seed, steps, path };
  if (!pngs.length) return { path: "interpolate", query, file: "interpolation.png" };
  return { path: "interpolate", query: { ...query, preprocess: preprocessOf(pngs, model) }, images, file: "interpolation.png" };
}

/**
 * Return the walk of a request, as the JSON of /interpolate has it: {model, a, b, frames: [{t, z, png}, ...]}.
 * The page decodes it by itself if it can.
 */
async function walkOf(values, model, request, signal) {
  const decoder = await openDecoder(model);
  const ends = decoder.local && (await Promise.all([values.a, values.b].map((end) => endOf(end, model, decoder, signal))));
  if (!ends || ends.includes(null)) return askJson(request, { signal });
  const latents = pathBetween(ends[0].z, ends[1].z, values.steps, values.path);
  const frames = (await itemsOf(model, decoder, latents, { signal })).map(({ png, z }, i) => ({ png, z, t: i / (values.steps - 1) }));
  const [a, b] = ends.map(({ png }, i) => png ?? frames.at(i ? -1 : 0).png);
  return { model: model.ref, a, b, frames };
}

/** Return an end of a walk: {z, png}, where `png` is null for a seed. Null if the service has to prepare the image. */
async function endOf({ seed, png }, model, decoder, signal) {
  if (!png) return { z: standardNormal(seed, model.latent), png: null };
  const levels = await levelsOf(model, png);
  if (!levels) return null;
  const { mu } = await decoder.encode(levels, { signal });
  return { z: mu, png: toBase64(await pngOf(model, levels)) };
}

export function mount(section, context) {
  const { store } = context;
  const newest = newestWins();
  let answer = null;
  let answeredKey = null;
  let request = null;
  let playTimer = null;

  const slots = { a: slot("a"), b: slot("b") };
  const stage = h("div", { class: "stage", "data-result": "" });
  const slider = h("input", { type: "range", min: 0, "aria-label": "Position between A and B", oninput: () => {
    stop();
    store.set({ t: Number(slider.value) / Number(slider.max) });
  } });
  const play = button("Play", () => (playTimer ? stop() : start()), { class: "primary", "aria-pressed": "false" });
  const strip = h("div", { class: "strip", role: "group", "aria-label": "Frames", "data-result": "" });
  roving(strip, () => [...strip.children]);
  const path = h("select", { onchange: () => store.set({ path: path.value }, { push: true }) });
  fill(path, [["slerp", "spherical"], ["linear", "linear"]], "slerp");
  const steps = h("select", { onchange: () => store.set({ steps: Number(steps.value) }, { push: true }) });
  const swap = button("Swap A and B", () => {
    const { a, b, t } = store.state.values.interpolate;
    store.set({ a: b, b: a, t: 1 - t }, { push: true });
  });
  const gif = button("Save GIF", () => context.guard(async () => {
    const { query, ...rest } = request;
    const response = await context.busy([], () => ask({ ...rest, query: { ...query, format: "gif", scale: 8, bounce: true } }));
    save(await response.blob(), "interpolation.gif");
  }));
  section.append(
    h("div", { class: "walk" }, slots.a.element, h("div", { class: "walk-middle" }, stage, h("div", { class: "play" }, play, slider)), slots.b.element),
    strip,
    h("div", { class: "controls" }, field("Path", path), field("Frames", steps), swap, gif),
  );

  function slot(name) {
    const frame = h("div", { class: "slot-face", "data-result": "" });
    const seedInput = h("input", { type: "number", min: 0, max: 2 ** 32 - 1, step: 1, inputmode: "numeric", placeholder: "seed", "aria-label": `Seed of ${name.toUpperCase()}`, onchange: () => {
      if (seedInput.value !== "" && seedInput.reportValidity()) store.set({ [name]: { seed: Number(seedInput.value) } }, { push: true });
    } });
    const drawing = button("Drawing", () => store.set({ [name]: { png: store.valuesOf("draw").image } }, { push: true }), { title: "Use the image from Draw" });
    const chooser = h("input", { type: "file", accept: "image/*", class: "off-screen", tabindex: "-1", "aria-label": `Image file for ${name.toUpperCase()}`, onchange: () => {
      const [file] = chooser.files;
      chooser.value = "";
      if (file) take(file);
    } });
    const take = (file) => context.guard(async () => store.set({ [name]: { png: await context.prepare(file) } }, { push: true }));
    const element = h("div", { class: "slot" }, h("h3", {}, name.toUpperCase()), frame, field("Seed", seedInput),
      h("div", { class: "row" }, button("New seed", () => store.set({ [name]: { seed: randomSeed() } }, { push: true })), button("File", () => chooser.click()), chooser, drawing));
    element.addEventListener("drop", (event) => {
      const [file] = event.dataTransfer.files;
      if (!file) return;
      event.preventDefault();
      event.stopPropagation();
      document.documentElement.classList.remove("dropping");
      take(file);
    });
    return {
      element,
      controls(value) {
        seedInput.value = value.seed ?? "";
        drawing.disabled = !store.valuesOf("draw").image;
      },
      show(value, png, model) {
        const plain = value.seed !== undefined;
        frame.replaceChildren(tile({ png, z: null, seed: value.seed ?? null, plain, model: model.ref }, context, { name: `Image ${name.toUpperCase()}`, caption: plain ? `seed ${value.seed}` : "image" }));
      },
    };
  }

  function start() {
    const { t, steps } = store.state.values.interpolate;
    let at = t === 1 ? 0 : Math.round(t * (steps - 1));
    let step = 1;
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    playTimer = setInterval(() => {
      const last = store.state.values.interpolate.steps - 1;
      if (section.hidden) return stop();
      if (at >= last) step = -1;
      if (at <= 0) step = 1;
      at = Math.min(at, last) + step;
      showFrame(at / last);
    }, FRAME_MS);
  }

  function stop() {
    if (!playTimer) return;
    clearInterval(playTimer);
    playTimer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
    store.set({ t: Number(slider.value) / Number(slider.max) });
  }

  function showFrame(t) {
    const last = answer.frames.length - 1;
    const at = Math.round(t * last);
    slider.max = last;
    slider.value = at;
    slider.setAttribute("aria-valuetext", `frame ${at + 1} of ${last + 1}`);
    const { png, z } = answer.frames[at];
    const shown = stage.querySelector("img");
    if (playTimer && shown) shown.src = dataAddress(png);
    else {
      const frameRequest = { path: "decode", query: { model: answer.model }, json: { z: [z] } };
      stage.replaceChildren(tile({ png, z, seed: null, plain: false, model: answer.model, request: frameRequest }, context, { name: `Frame ${at + 1}` }));
    }
    if (!strip.contains(document.activeElement)) setTabStop([...strip.children], strip.children[at]);
    [...strip.children].forEach((frame, i) => (i === at ? frame.setAttribute("aria-current", "true") : frame.removeAttribute("aria-current")));
  }

  function showControls(values) {
    path.value = values.path;
    fill(steps, [...new Set([8, 16, 24, 32, values.steps])].sort((a, b) => a - b).map((count) => [count, count]), values.steps);
    for (const [name, { controls }] of Object.entries(slots)) controls(values[name]);
  }

  async function show(values, model) {
    showControls(values);
    request = requestFor(values, model);
    context.offer(request);
    const key = addressOf(request) + fields.a.format(values.a) + fields.b.format(values.b);
    if (key !== answeredKey) {
      const received = await newest((signal) => walkOf(values, model, request, signal));
      if (!received) return;
      answer = received;
      answeredKey = key;
      slots.a.show(values.a, answer.a, model);
      slots.b.show(values.b, answer.b, model);
      strip.style.setProperty("--across", Math.max(MIN_COLUMNS, Math.min(16, values.steps)));
      strip.replaceChildren(...answer.frames.map(({ png, t }, i) =>
        button(h("img", { class: "pixels", src: dataAddress(png), alt: "" }), () => {
          stop();
          store.set({ t }, { push: true });
        }, { class: "tile", "aria-label": `Frame ${i + 1}` })));
    }
    if (!playTimer) showFrame(store.state.values.interpolate.t);
    context.remember(`interpolation in ${values.steps} frames`, [slots.a, slots.b].map(({ element }) => element.querySelector("img")));
  }

  return {
    show,
    controls(values, model) {
      showControls(values);
      request = requestFor(values, model);
      context.offer(request);
      showFrame(values.t);
    },
  };
}
