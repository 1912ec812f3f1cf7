// Home: one diagram of a variational autoencoder. The image, the encoder, a bell for each dimension, the
// die that draws z, the decoder, the picture, and the two costs.
import { askJson, newestWins } from "../api.js";
import { choice, natural, picture, real, sameBytes, seed } from "../codec.js";
import { openDecoder } from "../decoding.js";
import { button, field, h } from "../dom.js";
import { showedFirstPictures } from "../first_pictures.js";
import { bellTable } from "../home/bells.js";
import { bellsOfImage, bellsOfPrior, hasFlow, rankedInZ, ROLLS, rollsOf, startOf } from "../home/chain.js";
import { costBars } from "../home/costs.js";
import { klOf } from "../home/gaussian.js";
import { ghostPictures } from "../home/ghosts.js";
import { badge, caption, fillCaptions } from "../home/guide.js";
import { drawingPad } from "../home/pad.js";
import { die, flow, funnel, layersOf, wire } from "../home/shapes.js";
import { startDrawing } from "../home/starts.js";
import { oneAtATime } from "../live.js";
import { bitmapOf, pngBytes } from "../pictures.js";
import { randomSeed } from "./generate.js";

/**
 * The draws are those of `seed`, `seed` + 1, ...; `chosen` is the one whose numbers are shown. `sigma` is
 * the factor on sigma. If `image` is null, the diagram begins with an image of its own.
 */
export const fields = {
  image: { ...picture(), instead: "The diagram begins with an image of its own instead." }, seed: seed(1), sigma: real(1, 0, 3), source: choice("image", ["image", "prior"]), chosen: natural(0, 0, 9),
};

/** Draws by which the service measures the costs of an image, and their seed, so that the same image has the same costs. */
const COST_DRAWS = 32;
const COST_SEED = 0;

/** How long the diagram waits for the weights of a model with a flow, before the service draws from the bells. */
const PATIENCE_MS = 3000;
const IN_Z = "These bells describe z. The flow maps z to u, whose prior is N(0, 1).";
const IN_U = "These bells describe u. The flow maps u to the z that the decoder reads.";
const NO_IMAGE = "Without an image there is nothing to reconstruct, so there are no costs.";

export function mount(section, context) {
  const { store } = context;
  const newest = newestWins();
  const newestCosts = newestWins();
  let current = null;
  let model = null;
  let rolled = false;

  // --- elements --------------------------------------------------------------------------------

  const pad = drawingPad({ seen, cleared, opened: context.receive, guard: context.guard });
  const sees = h("canvas", { class: "pixels sees", role: "img", "aria-label": "The image as the encoder sees it" });
  const encoderShape = h("div", { class: "network" });
  const decoderShape = h("div", { class: "network" });
  const shapeNotes = { encoder: h("p", { class: "shape-note" }), decoder: h("p", { class: "shape-note" }) };
  const wires = { image: wire(), bells: wire(), draw: wire(), picture: wire() };
  wires.bells.classList.add("from-encoder");
  const bells = bellTable();
  const ghosts = ghostPictures(ROLLS, choose);
  const costs = costBars();
  const theDie = die();
  const spaceNote = h("p", { class: "note space-note" });
  const rollButton = button([theDie, "Roll"], () => {
    rolled = true;
    store.set({ seed: randomSeed(), chosen: 0 }, { push: true });
  }, { class: "primary roll" });
  const sigmaOutput = h("output");
  const sigma = h("input", { type: "range", min: 0, max: 3, step: 0.05, oninput: () => context.guard(() => follow()), onchange: () => store.set({ sigma: Number(sigma.value) }, { push: true }) });
  const withoutImage = h("input", { type: "checkbox", role: "switch", onchange: () => store.set({ source: withoutImage.checked ? "prior" : "image" }, { push: true }) });
  const stage = (name, title, number, links, ...children) => h("section", { class: `stage ${name}`, "aria-label": title },
    h("h3", {}, number && badge(number), title), ...children, h("p", { class: "opens" }, ...links));

  section.querySelector(".diagram").replaceChildren(
    h("div", { class: "leg in" },
      stage("image-stage", "Image", null, [opens("Draw", () => ({ part: "draw", values: { image: current?.png ?? null } }), "Draw on a larger pad, and see what is lost")], pad.element, pad.buttons),
      wires.image,
      stage("encoder-stage", "Encoder", 1, [opens("Map", () => ({ part: "map", values: placeOf() }), "See where this image lies among others")], encoderShape, sees, shapeNotes.encoder)),
    h("div", { class: "guides" }, caption("encoder", 1), caption("bells", 2)),
    wires.bells,
    stage("bells-stage", "Bells", 2, [opens("Traverse", () => ({ part: "traverse", values: current?.centre ? { z: current.centre } : {} }), "Move one dimension at a time"), opens("Generate", () => ({ part: "generate", values: { n: ROLLS, seed: store.state.values.home.seed, temperature: Number(sigma.value), label: null } }), "Draw from the prior")],
      h("div", { class: "rolling" },
        h("div", { class: "roll-field" }, badge(3), rollButton),
        field("sigma ×", sigma, sigmaOutput),
        h("label", { class: "switch" }, badge(5), withoutImage, " No image: the prior")),
      caption("roll", 3), bells.element, spaceNote),
    wires.draw,
    h("div", { class: "leg out" },
      stage("decoder-stage", "Decoder", 4, [opens("Interpolate", () => ({ part: "interpolate", values: { a: ends().a, b: ends().b } }), "Walk from this image to another")], decoderShape, shapeNotes.decoder),
      wires.picture,
      stage("picture-stage", "Picture", null, [opens("Compare", () => ({ part: "compare", values: {} }), "See what other models make")], ghosts.large, ghosts.small)),
    h("div", { class: "guides out" }, caption("decoder", 4), caption("prior", 5)));
  section.append(h("section", { class: "costs", "aria-label": "The two costs" },
    h("div", {}, h("h3", {}, badge(6), "Two costs, one loss"), costs.element, h("p", { class: "opens" }, opens("Learn", () => ({ part: "learn" }), "Watch the costs fall in training"), opens("Model", () => ({ part: "model" }), "See the costs over all test images"))),
    caption("costs", 6)));

  // --- links to the other parts ----------------------------------------------------------------

  /** Create a link that opens another part with what is shown here. Parts that do not exist have none. */
  function opens(part, target, title) {
    const link = document.querySelector(`nav.parts [data-part=${part.toLowerCase()}]`);
    if (!link) return null;
    return h("a", { href: link.getAttribute("href"), title, onclick: (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      store.go(target());
    } }, part, h("span", { "aria-hidden": "true" }, " ›"));
  }

  /** Return the latent around which Map opens: the mean of the bells, as /decode takes it. */
  const placeOf = () => (current?.centre ? { plane: "dimensions", z: current.centre, seed: null, at: null } : {});
  const ends = () => (current?.png ? { a: { png: current.png }, b: { seed: store.state.values.home.seed } } : { a: { seed: 3 }, b: { seed: 7 } });

  // --- drawing, rolling ---------------------------------------------------------------------------

  function render(draws) {
    bells.draw(draws);
    ghosts.draw(draws.pictures, model, draws.chosen, rolled);
    if (rolled) flow(theDie, wires.draw, wires.picture, bells.element);
    rolled = false;
  }

  /** Show what the encoder makes of an unfinished drawing, or keep a finished one in the address. */
  async function seen(encoding, done) {
    if (done) {
      current = { ...current, encoding };
      store.set({ image: encoding.png, source: "image" }, { push: true });
      return;
    }
    const { decoder } = current;
    if (!decoder) return;
    costs.wait();
    current.costsOf = null;
    showSeen(await bitmapOf(encoding.png));
    markSource("image");
    const shape = await bellsOfImage(model, decoder, encoding.png, { encoding });
    render(await rollsOf(model, decoder, shape, valuesNow()));
  }

  /** Without an image there is only the prior. */
  function cleared() {
    current.shown = null;
    current.isCleared = true;
    sees.getContext("2d").clearRect(0, 0, sees.width, sees.height);
    store.set({ image: null, source: "prior" }, { push: true });
  }

  const valuesNow = () => ({ ...store.state.values.home, sigma: Number(sigma.value) });

  /** Follow the slider, without changing the address. */
  const follow = oneAtATime(async (_, signal) => {
    sigmaOutput.textContent = Number(sigma.value).toFixed(2);
    if (!current?.shape) return;
    const draws = await rollsOf(model, current.decoder, current.shape, valuesNow(), signal);
    if (!signal.aborted) render(draws);
  });

  function choose(i) {
    store.set({ chosen: i });
  }

  // --- showing -----------------------------------------------------------------------------------

  function arrange(selected, values) {
    model = selected;
    current = null;
    pad.stop();
    pad.arrange(model);
    fillCaptions(section, model);
    const layers = layersOf(model);
    encoderShape.replaceChildren(funnel(layers, false));
    decoderShape.replaceChildren(funnel(layers, true));
    shapeNotes.encoder.textContent = `${model.width} × ${model.height}${model.channels === 3 ? " × 3" : ""} pixels to ${model.latent} bells`;
    shapeNotes.decoder.textContent = `${model.latent} numbers to ${model.width} × ${model.height}${model.channels === 3 ? " × 3" : ""} pixels`;
    bells.arrange(model.ranked, hasFlow(model));
    spaceNote.hidden = !hasFlow(model);
    spaceNote.textContent = IN_Z;
    const drawing = startDrawing(model);
    if (drawing && !values.image) pad.load(drawing, true);
  }

  function markSource(source) {
    section.querySelector(".diagram").dataset.source = source;
    withoutImage.checked = source === "prior";
  }

  function showSeen(bitmap) {
    sees.width = model.width;
    sees.height = model.height;
    sees.getContext("2d").drawImage(bitmap, 0, 0, model.width, model.height);
  }

  /** Show the image on the pad, unless it is there. Returns {png, encoding}; the encoding may be missing. */
  async function imageOf(values, decoder, signal) {
    const isDrawn = values.image && sameBytes(current.encoding?.png, values.image);
    const image = !values.image ? (current.start ??= await startOf(model, decoder, signal)) : { png: values.image, encoding: isDrawn ? current.encoding : undefined };
    if (sameBytes(current.shown, image.png)) return image;
    if (!values.image) pad.load(image.bitmap, true);
    else if (!isDrawn) pad.load(await bitmapOf(image.png), false);
    showSeen(await bitmapOf(image.png));
    current.shown = image.png;
    return image;
  }

  async function shapeOf(values, decoder, signal) {
    if (values.source === "image") current.isCleared = false;
    const image = current.isCleared ? null : await imageOf(values, decoder, signal);
    if (values.source === "prior") return bellsOfPrior(model);
    if (sameBytes(current.shape?.png, image.png)) return current.shape;
    const shape = await bellsOfImage(model, decoder, image.png, { encoding: image.encoding, signal });
    if (!signal.aborted) flow(wires.image, wires.bells, encoderShape, wires.draw, wires.picture);
    return shape;
  }

  function controls(values) {
    markSource(values.source);
    sigma.value = values.sigma;
    sigmaOutput.textContent = values.sigma.toFixed(2);
  }

  async function show(values, selected) {
    if (model !== selected) arrange(selected, values);
    current ??= {};
    controls(values);
    follow.drop();
    await newest(async (signal) => {
      const decoder = await decoderFor(values, signal);
      if (signal.aborted) return;
      const [shape] = await Promise.all([shapeOf(values, decoder, signal), arrangeInZ(decoder, signal)]);
      const draws = await rollsOf(model, decoder, shape, values, signal);
      if (signal.aborted) return;
      Object.assign(current, { decoder, shape, png: shape.png, centre: shape.centre });
      if (hasFlow(model)) spaceNote.textContent = shape.png ? IN_Z : IN_U;
      render(draws);
      share(draws);
      await showCosts(shape);
    });
  }

  /**
   * Open the decoder. Under a flow, the page waits a moment for it, because it puts the bells in order;
   * until then, the picture is the reconstruction that the service makes.
   */
  async function decoderFor(values, signal) {
    const decoder = await openDecoder(model);
    if (!hasFlow(model) || decoder.local || current.order || signal.aborted) return decoder;
    spaceNote.textContent = decoder.reason;
    if (values.source === "image") {
      const { encoding } = await imageOf(values, decoder, signal);
      if (encoding && !signal.aborted) ghosts.preview(await bitmapOf(pngBytes(encoding.reconstruction)), model);
    }
    showedFirstPictures();
    return Promise.race([decoder.ready, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, decoder))]);
  }

  /** Put the bells of a model with a flow in their order, once, so that they never change places later. */
  async function arrangeInZ(decoder, signal) {
    if (!hasFlow(model) || current.order || signal.aborted) return;
    const order = await rankedInZ(model, decoder, signal);
    if (signal.aborted) return;
    current.order = order;
    bells.arrange(order, true);
  }

  /** Offer the request that makes the same pictures. */
  function share({ latents }) {
    context.offer({ path: "decode", query: { model: model.ref, columns: 5 }, json: { z: latents }, file: `${model.name}-rolls.png` });
    const { image, seed: firstSeed } = store.state.values.home;
    if (image || firstSeed !== fields.seed.initial) context.remember(`ten rolls, seed ${firstSeed}`, [...ghosts.small.querySelectorAll("canvas")]);
  }

  async function showCosts(shape) {
    if (!shape.png) {
      newestCosts(() => undefined);
      current.costsOf = null;
      return costs.empty(NO_IMAGE);
    }
    if (current.costsOf === shape.png) return undefined;
    costs.wait();
    const query = { model: model.ref, preprocess: "none", draws: COST_DRAWS, seed: COST_SEED };
    const answer = await newestCosts((signal) => askJson({ path: "score", query, images: { image: shape.png } }, { signal }));
    if (!answer) return undefined;
    current.costsOf = shape.png;
    const { reconstruction_nats: reconstruction, kl_nats } = answer.images[0];
    const average = model.manifest.metrics.test_negative_elbo?.value ?? null;
    return costs.show({ reconstruction, parts: hasFlow(model) ? [{ name: "KL", nats: kl_nats }] : partsOf(shape) }, average);
  }

  /** Return KL of each dimension, the most informative first. */
  function partsOf({ mu, logvar }) {
    const kl = klOf(mu, logvar);
    return model.ranked.map((d) => ({ name: `z${d}`, nats: kl[d] }));
  }

  return { show, controls };
}
