// The encoder's mu and sigma of each latent dimension, as a chart and as a table.
import { h } from "./dom.js";

/** Create the chart of mu, logvar (latent,): a dot at mu and a bar from mu - sigma to mu + sigma. */
export function latentChart(mu, logvar, model) {
  const sigma = logvar.map((value) => Math.exp(0.5 * value));
  const limit = Math.max(3, ...mu.map((value, d) => Math.abs(value) + sigma[d]));
  const height = (value) => `${(50 * (1 - value / limit)).toFixed(2)}%`;
  const columns = model.ranked.map((d) => {
    const bar = h("span", { class: "sigma" });
    bar.style.top = height(mu[d] + sigma[d]);
    bar.style.bottom = `${(50 * (1 + (mu[d] - sigma[d]) / limit)).toFixed(2)}%`;
    const dot = h("span", { class: "mu" });
    dot.style.top = height(mu[d]);
    const description = `dimension ${d}: mu ${mu[d].toFixed(2)}, sigma ${sigma[d].toFixed(2)}`;
    return h("div", { class: model.dead.includes(d) ? "dimension dead" : "dimension", title: description },
      h("div", { class: "axis" }, bar, dot), h("span", { class: "number" }, String(d)));
  });
  const rows = model.ranked.map((d) =>
    h("tr", {}, h("th", { scope: "row" }, `z${d}`), h("td", {}, mu[d].toFixed(3)), h("td", {}, sigma[d].toFixed(3))));
  return h("div", {},
    h("div", { class: `chart${model.latent > 24 ? " crowded" : ""}`, role: "img", "aria-label": `mu and sigma of ${model.latent} dimensions, from −${limit.toFixed(0)} to ${limit.toFixed(0)}; the table below has the values` }, ...columns),
    h("details", {}, h("summary", {}, "Show as a table"),
      h("div", { class: "table" }, h("table", {}, h("thead", {}, h("tr", {}, ...["", "mu", "sigma"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, ...rows)))),
  );
}
