// Model: how a version was trained, its figures and its metrics.
import { h, scrollable } from "../dom.js";
import { trainingCurves } from "../curves.js";
import { explained } from "../explain.js";
import { numbersOf } from "../models.js";

export const fields = {};

/** Metrics that are measured for each class, such as `samples_share[7]`, and the headings of their columns. */
const CLASS_COLUMNS = {
  test_share: "Share of test images",
  samples_share: "Share of samples",
  samples_recall: "Recalled",
  samples_coverage: "Covered",
  label_right: "Label right",
  label_precision: "Label precision",
  label_recall: "Label recall",
};

const CAPTIONS = {
  samples: "Samples",
  classes: "Samples of each class, one row per class",
  manifold: "Images across the latent space",
  latents: "Test images in the latent space",
};

export function mount(section, { offer }) {
  const body = h("div", { "data-result": "" });
  section.append(body);

  function show(values, model) {
    offer(null);
    const { metrics, created_at } = model.manifest;
    body.replaceChildren(...[
      h("p", { class: "model-name" }, h("strong", {}, model.ref), ` was published on ${new Date(created_at).toLocaleDateString([], { dateStyle: "long" })}.`),
      h("dl", { class: "figures" }, ...[...numbersOf(model), ...betaOf(model)].map(([name, value, how]) => h("div", { title: how }, h("dt", {}, explained(name)), h("dd", {}, value)))),
      h("section", { class: "training", "aria-label": "Training" }, h("h3", {}, "Training"), curvesOf(model)),
      h("div", { class: "model-figures" }, ...Object.entries(CAPTIONS).filter(([figure]) => Object.hasOwn(model.figures, figure)).map(([figure, caption]) =>
        h("figure", {}, h("img", { src: `models/${model.ref.replace("@", "/")}/figures/${figure}.png`, alt: `${caption} of ${model.ref}`, loading: "lazy" }), h("figcaption", {}, caption)))),
      classNumbers(model.manifest),
      h("details", {}, h("summary", {}, "All metrics, and how each was measured"), scrollable("All metrics", allNumbers(metrics, model.manifest.classes ?? []))),
    ].filter(Boolean));
  }

  return { show };
}

/** Return beta as a row for the figures, if the manifest records it. */
function betaOf({ manifest }) {
  const beta = manifest.training.settings.objective?.beta;
  return typeof beta === "number" ? [["beta", String(beta), "the weight of KL in the loss"]] : [];
}

function curvesOf({ ref, manifest, figures }) {
  const { history } = manifest.training;
  if (history?.length > 1) return trainingCurves(history);
  if (figures.loss) return h("figure", { class: "loss" }, h("img", { src: figures.loss.replace(/^\//, ""), alt: `Training loss of ${ref} by epoch`, loading: "lazy" }));
  return h("p", { class: "note" }, "This version has no record of its training epochs.");
}

const ofClass = (metric, name) => `${metric}[${name}]`;

/** Return a table with a row per class, or null if nothing was measured for each class. */
function classNumbers({ metrics, classes }) {
  const columns = Object.keys(CLASS_COLUMNS).filter((metric) => classes?.every((name) => Object.hasOwn(metrics, ofClass(metric, name))));
  if (!columns.length) return null;
  return h("details", {}, h("summary", {}, "Numbers of each class"), scrollable("Numbers of each class", h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Class"), ...columns.map((metric) => h("th", { scope: "col", title: metrics[ofClass(metric, classes[0])].protocol }, CLASS_COLUMNS[metric])))),
    h("tbody", {}, ...classes.map((name) => h("tr", {}, h("th", { scope: "row" }, name), ...columns.map((metric) => h("td", {}, `${(100 * metrics[ofClass(metric, name)].value).toFixed(1)} %`)))))), { class: "by-class" }));
}

function allNumbers(metrics, classes) {
  const ofClasses = new Set(Object.keys(CLASS_COLUMNS).flatMap((metric) => classes.map((name) => ofClass(metric, name))));
  return h("table", { class: "measured" },
    h("thead", {}, h("tr", {}, ...["Metric", "Value", "How it was measured"].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, ...Object.entries(metrics).filter(([name]) => !ofClasses.has(name)).map(([name, { value, unit, protocol }]) =>
      h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, `${Number(value.toPrecision(5))} ${unit.split(",")[0]}`), h("td", {}, protocol)))));
}
