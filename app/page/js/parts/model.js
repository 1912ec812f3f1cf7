// What a version is, and its numbers.
import { h } from "../dom.js";
import { numbersOf } from "../models.js";

export const fields = {};

const CAPTIONS = {
  samples: "Samples",
  classes: "A row for each class",
  manifold: "Every place of the latent space",
  latents: "Where the test images lie",
};

export function mount(section, { offer }) {
  const body = h("div", {});
  section.append(body);

  function show(values, model) {
    offer(null);
    const { metrics, created_at } = model.manifest;
    body.replaceChildren(
      h("p", { class: "model-name" }, h("strong", {}, model.ref), ` was published on ${new Date(created_at).toLocaleDateString([], { dateStyle: "long" })}.`),
      h("dl", { class: "figures" }, ...numbersOf(model).map(([name, value, how]) => h("div", { title: how }, h("dt", {}, name), h("dd", {}, value)))),
      h("div", { class: "model-figures" }, ...Object.entries(CAPTIONS).filter(([figure]) => figure in model.figures).map(([figure, caption]) =>
        h("figure", {}, h("img", { src: model.figures[figure].replace(/^\//, ""), alt: `${caption} of ${model.ref}`, loading: "lazy" }), h("figcaption", {}, caption)))),
      h("details", {}, h("summary", {}, "All numbers, and how each was measured"), h("div", { class: "table" }, allNumbers(metrics))),
    );
  }

  return { show };
}

function allNumbers(metrics) {
  return h("table", { class: "measured" },
    h("thead", {}, h("tr", {}, ...["Number", "Value", "How"].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, ...Object.entries(metrics).map(([name, { value, unit, protocol }]) =>
      h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, `${Number(value.toPrecision(5))} ${unit.split(",")[0]}`), h("td", {}, protocol)))));
}
