// Generate: new images from random latents, of any class or of one class.
import { askJson, newestNext } from "../api.js";
import { label as classOf, natural, real, seed } from "../codec.js";
import { itemsOf, openDecoder } from "../decoding.js";
import { button, field, fill, h } from "../dom.js";
import { standardNormal } from "../noise.js";
import { changeTile, tile } from "../tiles.js";

export const fields = { n: natural(16, 1, 256), seed: seed(1), temperature: real(1, 0, 10), label: classOf() };

/** Return a random seed below a million, short enough to read aloud. */
export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000;

/** Return the request for n samples. */
export function requestFor({ n, seed, temperature, label }, model) {
  const query = { model: model.ref, n, seed, temperature, label };
  return { path: "generate", query, file: `${model.name}-seed-${seed}.png` };
}

const SEEDS = 2 ** 32;
/** Above this number of images, the tiles are small, so that a wide window shows half of 256 at once. */
const MANY = 100;

/** Return how many of n tiles stand beside each other in a wide window. */
const acrossOf = (n) => (n > MANY ? 16 : n % 10 ? Math.min(8, n) : 10);

/** Return images of the page itself: {png, z, seed} of each, as the JSON of /generate has them. */
async function decoded({ n, seed, temperature }, model, decoder, signal) {
  const seeds = Array.from({ length: n }, (_, i) => (seed + i) % SEEDS);
  const factor = Math.fround(temperature);
  const latents = seeds.map((each) => standardNormal(each, model.latent).map((value) => Math.fround(factor * value)));
  return (await itemsOf(model, decoder, latents, { signal })).map(({ png, z }, i) => ({ png, z, seed: seeds[i] }));
}

export function mount(section, context) {
  const { store } = context;
  const newest = newestNext();
  /** The items of the tiles, and the version that they are of. */
  let shown = { items: [], ref: null };
  const grid = h("div", { class: "tiles", id: "samples", "data-result": "" });
  const n = h("select", { onchange: () => store.set({ n: Number(n.value) }, { push: true }) });
  const seedInput = h("input", {
    type: "number", min: 0, max: 2 ** 32 - 1, step: 1, inputmode: "numeric", required: true,
    onchange: () => seedInput.reportValidity() && store.set({ seed: Number(seedInput.value) }, { push: true }),
  });
  const temperatureOutput = h("output");
  const temperature = h("input", {
    type: "range", min: 0, max: 2, step: 0.05,
    oninput: () => store.set({ temperature: Number(temperature.value) }),
  });
  const label = h("select", { onchange: () => store.set({ label: label.value || null }, { push: true }) });
  const labelField = field("Label", label);
  const others = button("New samples", () => store.set({ seed: randomSeed() }, { push: true }), { class: "primary", id: "others" });
  section.append(
    h("div", { class: "controls" }, others, field("Seed", seedInput), field("Images", n), labelField, field("Temperature", temperature, temperatureOutput)),
    grid,
    h("p", { class: "note" }, "Choose an image to start from its seed, copy its z, or open it in another part of this page."),
  );

  function showControls(values, model) {
    const sizes = [1, 4, 8, 16, 32, 64, 100, 256];
    fill(n, [...new Set([...sizes, values.n])].sort((a, b) => a - b).map((size) => [size, size]), values.n);
    seedInput.value = values.seed;
    temperature.value = values.temperature;
    temperatureOutput.textContent = values.temperature.toFixed(2);
    labelField.hidden = !model.classes.length;
    fill(label, [["", "any"], ...model.classes.map((name) => [name, name])], values.label ?? "");
  }

  async function show(values, model) {
    showControls(values, model);
    const request = requestFor(values, model);
    context.offer(request);
    const { isLive } = store.state;
    const images = await newest((signal) => imagesOf(values, model, { request, isLive, signal }), { isLive });
    if (!images) return;
    showImages(images.map((image) => itemOf(image, values, model)), { values, model, isLive });
    context.remember(`${values.n} ${values.n === 1 ? "image" : "images"}, seed ${values.seed}`, [...grid.querySelectorAll("img")]);
  }

  /** Return the images of a request: the steps of a slider are decoded by the page if it can. */
  async function imagesOf(values, model, { request, isLive, signal }) {
    const opening = openDecoder(model); // It is ready when the slider is moved.
    const decoder = isLive && values.label === null ? await opening : null;
    if (decoder?.local) return decoded(values, model, decoder, signal);
    return (await askJson(request, { signal })).images;
  }

  function itemOf({ png, z, seed }, values, model) {
    const plain = values.label === null && values.temperature === 1;
    return { png, z, seed, plain, model: model.ref, request: requestFor({ ...values, n: 1, seed }, model) };
  }

  /** Show items as tiles. While a slider moves, the tiles stay the same elements. */
  function showImages(items, { values, model, isLive }) {
    if (isLive && shown.ref === model.ref && shown.items.length === items.length) {
      shown.items.forEach((item, i) => changeTile(grid.children[i], Object.assign(item, items[i])));
      return;
    }
    shown = { items, ref: model.ref };
    grid.style.setProperty("--across", acrossOf(values.n));
    grid.classList.toggle("many", values.n > MANY);
    grid.replaceChildren(...items.map(sample));
  }

  function sample(item) {
    const reuse = ["Start from this seed", () => store.set({ seed: item.seed }, { push: true })];
    return tile(item, context, { caption: `seed ${item.seed}`, actions: [reuse] });
  }

  return {
    show,
    controls(values, model) {
      showControls(values, model);
      context.offer(requestFor(values, model));
    },
  };
}
