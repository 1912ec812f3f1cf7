// The losses of each training epoch, as three small charts and as a table.
import { term } from "./explain.js";
import { h, scrollable } from "./dom.js";
import { label, svg } from "./svg.js";

const WIDTH = 320;
const HEIGHT = 200;
const LEFT = 54;
const RIGHT = 40;
const TOP = 10;
const BOTTOM = 36;

const CHARTS = [
  ["−ELBO", (record, split) => record[`${split}_reconstruction`] + record[`${split}_kl`]],
  ["Reconstruction", (record, split) => record[`${split}_reconstruction`]],
  ["KL", (record, split) => record[`${split}_kl`]],
];
const SPLITS = ["train", "test"];

/** Create an element that shows the losses in nats per image over epochs. `history` has one record per epoch. */
export function trainingCurves(history) {
  return h("div", {},
    h("div", { class: "curves" }, ...CHARTS.map(([name, valueOf]) => chart(name, history, valueOf))),
    h("p", { class: "note" }, h("span", { class: "key test" }), "test images, ", h("span", { class: "key train" }), "training images, measured during training"),
    h("details", {}, h("summary", {}, "Show as a table"), scrollable("Losses of each epoch", table(history))));
}

function chart(name, history, valueOf) {
  const series = SPLITS.map((split) => history.map((record) => valueOf(record, split)));
  const ticks = ticksOf(Math.min(...series.flat()), Math.max(...series.flat()));
  const [low, high] = [ticks[0], ticks.at(-1)];
  const [first, last] = [history[0].epoch, history.at(-1).epoch];
  const x = (epoch) => LEFT + ((epoch - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const lines = series.map((values, i) => svg("polyline", { class: SPLITS[i], points: values.map((value, at) => `${x(history[at].epoch).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }));
  const ends = separate(series.map((values) => y(values.at(-1)))).map((at, i) => label(x(last) + 5, at + 4, SPLITS[i], { class: SPLITS[i] }));
  const [train, test] = series.map((values) => `from ${values[0].toFixed(1)} to ${values.at(-1).toFixed(1)} nats`);
  const description = `${name} over ${history.length} epochs: test images ${test}, training images ${train}`;
  return h("figure", {}, h("figcaption", {}, term(name)),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": description },
      ...ticks.flatMap((value) => [svg("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }), label(LEFT - 6, y(value) + 4, String(value), { "text-anchor": "end" })]),
      label(x(first), HEIGHT - BOTTOM + 17, String(first), { "text-anchor": "middle" }),
      label(x(last), HEIGHT - BOTTOM + 17, String(last), { "text-anchor": "middle" }),
      label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "epoch", { "text-anchor": "middle" }),
      label(0, 0, "nats", { "text-anchor": "middle", transform: `translate(9 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)` }),
      ...lines, ...ends));
}

/** Return at most six round numbers that enclose `min` and `max`. */
function ticksOf(min, max) {
  const rough = Math.max(max - min, 0.1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const from = Math.floor(min / step);
  const count = Math.max(Math.ceil(max / step) - from, 1);
  return Array.from({ length: count + 1 }, (_, i) => Number(((from + i) * step).toPrecision(6)));
}

/** Move the y positions of two labels apart if the labels would overlap. */
function separate([a, b]) {
  const missing = (12 - Math.abs(a - b)) / 2;
  if (missing <= 0) return [a, b];
  return a < b ? [a - missing, b + missing] : [a + missing, b - missing];
}

function table(history) {
  const columns = CHARTS.flatMap(([name, valueOf]) => SPLITS.map((split) => [`${name}, ${split}`, (record) => valueOf(record, split).toFixed(2)]));
  return h("table", {},
    h("thead", {}, h("tr", {}, ...["Epoch", ...columns.map(([name]) => name)].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, ...history.map((record) => h("tr", {}, h("th", { scope: "row" }, record.epoch), ...columns.map(([, format]) => h("td", {}, format(record)))))));
}
