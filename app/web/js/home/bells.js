// The bells: one Gaussian for each latent dimension, the first few large with their numbers in a table,
// the others small. A column of the table spells mu + sigma * eps = z for the chosen draw.
import { h } from "../dom.js";
import { svg } from "../svg.js";
import { BELL, bellPath, bellX, ticksPath } from "./shapes.js";

/** How many dimensions are large. */
const LARGE = 6;
/** Half widths of the axis. The smallest that shows the bells is used, so that the axis seldom changes. */
const LIMITS = [3.5, 5, 7, 10, 15, 25, 50, 100];

/** Format a number with a minus sign of the width of a digit. */
export const shown = (value, places = 2) => value.toFixed(places).replace(/^-0\.?0*$/, (zero) => zero.slice(1)).replace("-", "−");

/** Return the half width of the axis for these bells. */
function limitOf({ mu, sigma }) {
  const farthest = Math.max(...mu.map((m, d) => Math.abs(m) + sigma[d]));
  return LIMITS.find((limit) => farthest <= limit) ?? farthest;
}

/**
 * Create the bells. Returns {element, arrange, draw}.
 *
 * `arrange(order, hasFlow)` makes room for the dimensions in this order. `draw(bells)` shows
 *
 *   name        "z" or "u", the space of the bells
 *   mu, sigma   (latent,)
 *   scale       factor on sigma
 *   eps, rolls  (draws, latent): the noise, and the values mu + scale * sigma * eps
 *   mapped      (draws, latent): the rolls in the other space of a flow, or null
 *   chosen      index of the draw whose numbers are shown
 */
export function bellTable() {
  let rows = [];
  let small = [];
  let order = [];
  let latest = null;

  const head = h("tr");
  const body = h("tbody");
  const rest = h("div", { class: "minis", role: "img" });
  const all = h("tbody");
  const allHead = h("tr");
  const allNumbers = h("details", { ontoggle: fillAll }, h("summary"), h("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Numbers of all dimensions" }, h("table", {}, h("thead", {}, allHead), all)));
  const element = h("div", { class: "bells" }, h("table", { class: "equations" }, h("thead", {}, head), body), rest, allNumbers);

  function arrange(dimensions, hasFlow) {
    order = dimensions;
    latest = null;
    rows = order.slice(0, LARGE).map((d) => largeBell(d, hasFlow));
    body.replaceChildren(...rows.map(({ element }) => element));
    small = order.slice(LARGE).map(smallBell);
    rest.replaceChildren(...small.map(({ element }) => element));
    rest.hidden = !small.length;
    allNumbers.querySelector("summary").textContent = `All ${order.length} dimensions in numbers`;
    allNumbers.open = false;
    showHeadings({ name: "z", scale: 1, mapped: null });
  }

  function showHeadings(bells) {
    head.replaceChildren(...["", "bell", ...headingsOf(bells)].map((text) => h("th", { scope: "col" }, text)));
  }

  function draw(bells) {
    latest = bells;
    const limit = limitOf(bells);
    element.classList.toggle("with-flow", !!bells.mapped);
    showHeadings(bells);
    for (const row of rows) row.draw(bells, limit);
    for (const one of small) one.draw(bells, limit);
    rest.setAttribute("aria-label", `The bells of the other ${small.length} dimensions; the table below has their numbers`);
    fillAll();
  }

  function fillAll() {
    if (!allNumbers.open || !latest) return;
    allHead.replaceChildren(...["", ...headingsOf(latest)].map((text) => h("th", { scope: "col" }, text)));
    all.replaceChildren(...order.map((d) =>
      h("tr", {}, h("th", { scope: "row" }, `${latest.name}${d}`), ...numbersOf(latest, d).map((value) => h("td", {}, value)))));
  }

  return { element, arrange, draw };
}

/** Return the headings of the columns of numbers. Together they are the equation of a draw. */
function headingsOf({ name, scale, mapped }) {
  const factor = scale === 1 ? "" : `${scale.toFixed(2)} `;
  return ["mu", `+\u00a0${factor}sigma`, "×\u00a0eps", `=\u00a0${name}`, ...(mapped ? [`→\u00a0${name === "z" ? "u" : "z"}`] : [])];
}

function numbersOf({ mu, sigma, scale, eps, rolls, mapped, chosen }, d) {
  const numbers = [shown(mu[d]), shown(scale * sigma[d], 3), shown(eps[chosen][d]), shown(rolls[chosen][d])];
  return mapped ? [...numbers, shown(mapped[chosen][d])] : numbers;
}

/** Create the paths of a bell. `draw` shows its axis, the prior if it belongs to the same space, and the draws. */
function bell() {
  const prior = svg("path", { class: "prior" });
  const area = svg("path", { class: "area" });
  const axis = svg("path", { class: "axis", d: `M0 ${BELL.height - BELL.base}H${BELL.width}` });
  const ticks = svg("path", { class: "ticks" });
  const mark = svg("path", { class: "chosen" });
  const element = svg("svg", { class: "bell", viewBox: `0 0 ${BELL.width} ${BELL.height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, area, prior, axis, ticks, mark);

  function draw({ mu, sigma, values, chosen, limit, hasPrior }) {
    area.setAttribute("d", sigma === null ? "" : bellPath(mu, sigma, limit));
    prior.setAttribute("d", hasPrior ? bellPath(0, 1, limit) : "");
    ticks.setAttribute("d", ticksPath(values, limit));
    mark.setAttribute("d", `M${bellX(values[chosen], limit).toFixed(1)} 4V${BELL.height}`);
  }

  return { element, draw };
}

const column = (values, d) => values.map((row) => row[d]);

function drawDimension(target, { name, mu, sigma, scale, rolls, chosen, isPrior }, d, limit) {
  target.draw({ mu: mu[d], sigma: scale * sigma[d], values: column(rolls, d), chosen, limit, hasPrior: isPrior });
  target.element.dataset.space = name;
}

function largeBell(d, hasFlow) {
  const curve = bell();
  const other = hasFlow ? bell() : null;
  const name = h("th", { scope: "row" });
  const cells = ["mu", "sigma", "eps", "roll"].map((kind) => h("td", { class: `${kind}-cell` }));
  const mapped = h("td", { class: "mapped-cell" });
  const element = h("tr", { "data-dimension": d }, name, h("td", {}, curve.element), ...cells, hasFlow && mapped);
  const mappedText = h("span");
  if (hasFlow) mapped.append(h("div", {}, other.element, mappedText));

  function draw(bells, limit) {
    name.textContent = `${bells.name}${d}`;
    drawDimension(curve, bells, d, limit);
    const texts = numbersOf(bells, d);
    cells.forEach((cell, i) => (cell.textContent = texts[i]));
    mapped.hidden = !bells.mapped;
    if (bells.mapped) mappedText.textContent = texts[4];
    if (bells.mapped) other.draw({ mu: 0, sigma: null, values: column(bells.mapped, d), chosen: bells.chosen, limit: bells.name === "z" ? LIMITS[0] : LIMITS[2], hasPrior: bells.name === "z" });
    const { mu, sigma, scale, eps, rolls, chosen } = bells;
    Object.assign(element.dataset, { mu: mu[d], sigma: sigma[d], scale, eps: eps[chosen][d], roll: rolls[chosen][d], rolls: column(rolls, d).join(" "), mapped: bells.mapped?.[chosen][d] ?? "" });
  }

  return { element, draw };
}

function smallBell(d) {
  const curve = bell();
  const element = h("span", { class: "mini" }, curve.element);

  function draw(bells, limit) {
    drawDimension(curve, bells, d, limit);
    element.title = `${bells.name}${d}: mu ${shown(bells.mu[d])}, sigma ${shown(bells.scale * bells.sigma[d], 3)}`;
  }

  return { element, draw };
}
