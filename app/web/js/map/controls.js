// The controls of Map: which plane is shown, and what of it.
import { button, field, fill, h } from "../dom.js";
import { randomSeed } from "../parts/generate.js";
import { hasEncodedImages } from "./encoded_images.js";
import { planeProblem } from "./fields.js";

const PLANES = { dimensions: "two dimensions", seeds: "three seeds", pca: "PCA of the test images", classes: "two classes" };
const LAYERS = { both: "pictures and points", images: "pictures", points: "points" };

/** What changes with the plane: the place and the view belong to one plane. */
const NEW_PLANE = { at: null, view: null };

/** Return the latent dimensions [across, up] of a plane: those of the values, or else the most informative ones. */
export function dimensionsOf({ x, y }, model) {
  const exists = (dim) => dim !== null && dim < model.latent;
  const across = exists(x) ? x : model.latent === 2 ? 0 : model.ranked.find((dim) => dim !== y) ?? 0;
  const up = exists(y) && y !== across ? y : model.latent === 2 ? 1 - across : model.ranked.find((dim) => dim !== across) ?? 0;
  return [across, up];
}

/** Create the controls. Returns {element, show(values, model), showClasses(pair, model)}. */
export function createControls(store) {
  const change = (values) => store.set({ ...NEW_PLANE, ...values }, { push: true });
  const plane = h("select", { onchange: () => change({ plane: plane.value }) });
  const planeField = field("Plane through", plane);
  /** The dimensions that are shown, [across, up]. */
  let axes = [];
  const dims = [0, 1].map((i) => h("select", { onchange: (event) => {
    const dim = Number(event.target.value);
    const [x, y] = axes[1 - i] === dim ? axes.toReversed() : axes.with(i, dim);
    change({ x, y });
  } }));
  const dimFields = [field("Horizontal", dims[0]), field("Vertical", dims[1])];
  const around = h("select", { onchange: () => change({ z: null, seed: around.value === "zero" ? null : randomSeed() }) });
  const aroundField = field("Centre", around);
  const span = h("select", { onchange: () => change({ span: Number(span.value) }) });
  const spanField = field("Range", span);
  const seeds = ["a", "b", "c"].map((name) => h("input", {
    type: "number", min: 0, max: 2 ** 32 - 1, step: 1, inputmode: "numeric", required: true,
    onchange: (event) => event.target.reportValidity() && change({ [name]: Number(event.target.value) }),
  }));
  const seedFields = seeds.map((input, i) => field(`Seed ${"ABC"[i]}`, input));
  const others = button("New seeds", () => change({ a: randomSeed(), b: randomSeed(), c: randomSeed() }));
  const pair = ["from", "to"].map(() => h("select", { onchange: () => change({ from: pair[0].value, to: pair[1].value }) }));
  const pairFields = [field("From class", pair[0]), field("To class", pair[1])];
  const layer = h("select", { onchange: () => store.set({ layer: layer.value }, { push: true }) });
  const layerField = field("Show", layer);
  const element = h("div", { class: "controls" }, planeField, ...dimFields, aroundField, spanField, ...seedFields, others, ...pairFields, layerField);

  function show(values, model) {
    const is = (kind) => values.plane === kind;
    const flat = model.latent <= 2;
    planeField.hidden = flat;
    [...dimFields, aroundField].forEach((one) => (one.hidden = !is("dimensions") || flat));
    spanField.hidden = !is("dimensions");
    [...seedFields, others].forEach((one) => (one.hidden = !is("seeds")));
    pairFields.forEach((one) => (one.hidden = !is("classes")));
    layerField.hidden = !hasEncodedImages(model);
    fill(plane, Object.entries(PLANES), values.plane);
    for (const option of plane.options) option.disabled = planeProblem(option.value, model) !== null;
    axes = dimensionsOf(values, model);
    dims.forEach((select, i) => fill(select, model.ranked.map((dim) => [dim, `${model.space}${dim}${model.kl_nats ? ` (${model.kl_nats[dim].toFixed(2)} nats)` : ""}`]), axes[i]));
    const here = values.z ? "an image" : `seed ${values.seed}`;
    fill(around, [["zero", "zero"], ...(values.z || values.seed !== null ? [["here", here]] : []), ["other", "a new seed"]], values.z || values.seed !== null ? "here" : "zero");
    fill(span, [...new Set([1, 2, 3, 4, values.span])].sort((p, q) => p - q).map((size) => [size, `±${size}`]), values.span);
    seeds.forEach((input, i) => (input.value = [values.a, values.b, values.c][i]));
    fill(layer, Object.entries(LAYERS), values.layer);
  }

  /** Show between which classes the plane lies. */
  function showClasses(labels, model) {
    const classes = model.manifest.classes;
    pair.forEach((select, i) => {
      fill(select, classes.map((name) => [name, name]), classes[labels[i]]);
      for (const option of select.options) option.disabled = option.value === classes[labels[1 - i]];
    });
  }

  return { element, show, showClasses };
}
