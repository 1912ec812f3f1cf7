// mu and sigma of each latent dimension, as a chart and as a table.
import { h } from "./dom.js";

/** mu, logvar (latent,) -> element; a dot at mu, a bar from mu - sigma to mu + sigma. */
export function latentChart(mu, logvar, model) {
  const sigma = logvar.map((value) => Math.exp(0.5 * value));
  const reach = Math.max(3, ...mu.map((value, d) => Math.abs(value) + sigma[d]));
  const height = (value) => `${(50 * (1 - value / reach)).toFixed(2)}%`;
  const columns = model.ranked.map((d) => {
    const bar = h("span", { class: "sigma" });
    bar.style.top = height(mu[d] + sigma[d]);
    bar.style.bottom = `${(50 * (1 + (mu[d] - sigma[d]) / reach)).toFixed(2)}%`;
    const dot = h("span", { class: "mu" });
    dot.style.top = height(mu[d]);
    const said = `dimension ${d}: mu ${mu[d].toFixed(2)}, sigma ${sigma[d].toFixed(2)}`;
    return h("div", { class: model.dead.includes(d) ? "dimension dead" : "dimension", title: said },
      h("div", { class: "axis" }, bar, dot), h("span", { class: "number" }, String(d)));
  });
  const rows = model.ranked.map((d) =>
    h("tr", {}, h("th", { scope: "row" }, `z${d}`), h("td", {}, mu[d].toFixed(3)), h("td", {}, sigma[d].toFixed(3))));
  return h("div", {},
    h("div", { class: `chart${model.latent > 24 ? " crowded" : ""}`, role: "img", "aria-label": `mu and sigma of ${model.latent} dimensions, from −${reach.toFixed(0)} to ${reach.toFixed(0)}; the same as numbers below` }, ...columns),
    h("details", {}, h("summary", {}, "As numbers"),
      h("div", { class: "table" }, h("table", {}, h("thead", {}, h("tr", {}, ...["", "mu", "sigma"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, ...rows)))),
  );
}
