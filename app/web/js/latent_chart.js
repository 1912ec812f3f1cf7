// The encoder's mu and sigma of each latent dimension, as a chart and as a table.
import { h } from "./dom.js";

/** Dimensions that are shown at once. The others, which carry the least information, can be opened. */
const SHOWN = 32;
/** The range of the chart is at least from -3 to 3, which holds 99.7 % of the prior, and at most from -6 to 6. */
const MIN_LIMIT = 3;
const MAX_LIMIT = 6;

/**
 * Create the chart of a model. Returns {element, show(mu, logvar), clear()}; mu and logvar are
 * (latent,). Each dimension has a dot at mu and a bar from mu - sigma to mu + sigma.
 *
 * The elements are created once and then moved, so that the size of the chart never changes.
 */
export function latentChart(model) {
  const columns = new Map(model.ranked.map((d) => [d, columnOf(d, model)]));
  const cells = new Map(model.ranked.map((d) => [d, [h("td", {}, "–"), h("td", {}, "–")]]));
  const charts = [model.ranked.slice(0, SHOWN), model.ranked.slice(SHOWN)].filter(({ length }) => length).map((dims) => {
    const chart = h("div", { class: "chart", role: "img" }, ...dims.map((d) => columns.get(d).element));
    chart.style.setProperty("--count", dims.length);
    return chart;
  });
  const edges = h("span", {});
  const rows = model.ranked.map((d) => h("tr", {}, h("th", { scope: "row" }, `${model.space}${d}`), ...cells.get(d)));
  const element = h("div", { class: "latent-chart" },
    h("p", { class: "note chart-key" },
      "The most informative dimension comes first. ",
      h("span", { class: "key-mu" }), " mu, ", h("span", { class: "key-sigma" }), " mu ± sigma, ", h("span", { class: "key-prior" }), " ±1, the sigma of the prior. ",
      edges),
    charts[0],
    charts[1] && h("details", {}, h("summary", {}, `Show the other ${model.latent - SHOWN} dimensions`), charts[1]),
    h("details", {}, h("summary", {}, "Show as a table"),
      h("div", { class: "table", tabindex: "0", role: "region", "aria-label": "mu and sigma of each dimension" },
        h("table", {}, h("thead", {}, h("tr", {}, ...["Dimension", "mu", "sigma"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, ...rows)))));

  function show(mu, logvar) {
    const sigma = logvar.map((value) => Math.exp(0.5 * value));
    const limit = Math.ceil(Math.min(MAX_LIMIT, Math.max(MIN_LIMIT, ...mu.map((value, d) => Math.abs(value) + sigma[d]))));
    showLimit(limit);
    for (const d of model.ranked) {
      columns.get(d).move(mu[d], sigma[d], limit);
      [mu[d], sigma[d]].forEach((value, i) => (cells.get(d)[i].textContent = value.toFixed(3)));
    }
    element.classList.remove("without-values");
  }

  function showLimit(limit) {
    edges.textContent = `Each column is from −${limit} to ${limit}.`;
    for (const chart of charts) {
      chart.style.setProperty("--limit", limit);
      chart.setAttribute("aria-label", `mu and sigma of ${chart.childElementCount} dimensions, from −${limit} to ${limit}; the table below has the values`);
    }
  }

  showLimit(MIN_LIMIT);
  return { element, show, clear: () => element.classList.add("without-values") };
}

const within = (value, limit) => Math.min(Math.max(value, -limit), limit);

function columnOf(d, model) {
  const bar = h("span", { class: "sigma" });
  const dot = h("span", { class: "mu" });
  const element = h("div", { class: model.dead.includes(d) ? "dimension dead" : "dimension" }, h("div", { class: "axis" }, bar, dot), h("span", { class: "number" }, String(d)));
  const height = (value, limit) => `${(50 * (1 - within(value, limit) / limit)).toFixed(2)}%`;
  return {
    element,
    move(mu, sigma, limit) {
      bar.style.top = height(mu + sigma, limit);
      bar.style.bottom = height(sigma - mu, limit);
      dot.style.top = height(mu, limit);
      // A value outside the range is an arrow at the edge.
      dot.classList.toggle("above", mu > limit);
      dot.classList.toggle("below", mu < -limit);
      element.title = `dimension ${d}: mu ${mu.toFixed(2)}, sigma ${sigma.toFixed(2)}`;
    },
  };
}
