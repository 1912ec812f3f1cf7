// The losses over the snapshots, with a mark at the one that is shown, and the KL of each dimension.
import { term } from "../explain.js";
import { h } from "../dom.js";
import { label, svg } from "../svg.js";

const WIDTH = 340;
const HEIGHT = 190;
const LEFT = 40;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 34;
/** Most dimensions with a bar of their own. */
const MOST_BARS = 16;

const LINES = [
  ["sum", "−ELBO", ({ reconstruction, kl }) => reconstruction.map((nats, i) => nats + kl[i])],
  ["reconstruction", "Reconstruction", ({ reconstruction }) => reconstruction],
  ["kl", "KL", ({ kl }) => kl],
];

/** Create the chart of a version's losses. Returns {element, show(at)}. The snapshots are evenly spaced along it. */
export function lossChart(snapshots, onchoose) {
  const series = LINES.map(([name, title, valuesOf]) => ({ name, title, values: valuesOf(snapshots) }));
  const high = ceiling(Math.max(...series[0].values.slice(1)));
  const last = snapshots.epochs.length - 1;
  const x = (at) => LEFT + (at / last) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + (1 - Math.min(1, Math.max(0, value / high))) * (HEIGHT - TOP - BOTTOM);
  const mark = svg("line", { class: "now", y1: TOP, y2: HEIGHT - BOTTOM });
  const dots = series.map(({ name }) => svg("circle", { class: name, r: 4 }));
  const whole = snapshots.epochs.findIndex((epoch) => epoch >= 1);
  const ticks = [...new Set([0, whole, last])].filter((at) => at >= 0);
  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": spoken(snapshots, series) },
    ...[0, high / 2, high].flatMap((value) => [svg("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }), label(LEFT - 6, y(value) + 4, String(value), { "text-anchor": "end" })]),
    ...ticks.map((at) => label(x(at), HEIGHT - BOTTOM + 16, at === 0 ? "start" : epochText(snapshots.epochs[at]), { "text-anchor": at === last ? "end" : at ? "middle" : "start" })),
    label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 3, "epoch of each snapshot", { "text-anchor": "middle" }),
    mark,
    ...series.map(({ name, values }) => svg("polyline", { class: name, points: values.map((value, at) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ") })),
    ...dots);
  chart.addEventListener("pointerdown", (event) => {
    const { left, width } = chart.getBoundingClientRect();
    onchoose(Math.round(Math.max(0, Math.min(1, (((event.clientX - left) / width) * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT))) * last));
  });
  const outputs = series.map(() => h("span", {}));
  const legend = h("dl", { class: "learn-legend" }, ...series.map(({ name, title }, i) => h("div", {}, h("dt", {}, h("span", { class: `learn-key ${name}` }), term(title)), h("dd", {}, outputs[i]))));

  function show(at) {
    mark.setAttribute("x1", x(at));
    mark.setAttribute("x2", x(at));
    series.forEach(({ values }, i) => {
      dots[i].setAttribute("cx", x(at));
      dots[i].setAttribute("cy", y(values[at]));
      outputs[i].textContent = `${values[at].toFixed(1)} nats`;
    });
  }
  return { element: h("div", {}, legend, chart), show };
}

/** Create the bars of the KL of each dimension. Returns {element, show(at)}. */
export function dimensionBars({ dimensions, dimensionKl, space }) {
  const shown = dimensions.slice(0, MOST_BARS);
  const high = Math.max(1, ...dimensionKl.flat());
  const bars = shown.map(() => h("span", { class: "learn-bar" }));
  const outputs = shown.map(() => h("span", {}));
  const element = h("div", { class: "learn-bars" }, ...shown.map((dimension, i) =>
    h("div", { class: "learn-dimension" }, h("span", {}, `${space}${dimension}`), h("span", { class: "learn-track", "aria-hidden": "true" }, bars[i]), outputs[i])));

  function show(at) {
    bars.forEach((bar, i) => {
      bar.style.width = `${(100 * dimensionKl[at][i]) / high}%`;
      outputs[i].textContent = `${dimensionKl[at][i].toFixed(2)} nats`;
    });
  }
  return { element, show };
}

/** Return a time such as "0.07", "3" or "12". */
export const epochText = (epochs) => (Number.isInteger(epochs) ? String(epochs) : epochs.toFixed(2));

const spoken = ({ epochs }, series) =>
  `Losses at ${epochs.length} snapshots. ${series.map(({ title, values }) => `${title} from ${values[0].toFixed(0)} to ${values.at(-1).toFixed(0)} nats`).join(", ")}.`;

/** Return a round number that is not below `value`. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-6)));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((size) => size >= value);
}
