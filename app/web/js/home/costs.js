// The two costs of an image, as bars: the second begins where the first ends, and the third is their sum.
import { h } from "../dom.js";
import { term } from "../explain.js";

const NUMBER = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const nats = (value) => `${NUMBER.format(value)} nats`;
/** The loss of an average test image takes this share of the width. */
const AVERAGE_SHARE = 0.7;

/**
 * Create the bars. Returns {element, show, wait, empty}.
 *
 * `show({reconstruction, parts}, average)` shows the costs in nats: `parts` are those of KL, one for
 * each dimension, or a single one. `average` is the loss of the test images, or null. `wait()` says that
 * the bars belong to an earlier image, and `empty(reason)` that there are none.
 */
export function costBars() {
  const bars = ["reconstruction", "kl", "loss"].map((name) => ({ name, bar: h("span", { class: `cost-bar ${name}-bar` }), value: h("span", { class: "cost-value" }) }));
  const [first, second, total] = bars;
  const mark = h("span", { class: "average" });
  const titles = [term("Reconstruction"), ["+ ", term("KL")], ["= Loss (", term("−ELBO"), ")"]];
  const reason = h("p", { class: "costs-reason", hidden: true });
  const rows = h("div", { class: "cost-bars" }, ...bars.map(({ name, bar, value }, i) =>
    h("div", { class: "cost", "data-cost": name }, h("span", { class: "cost-name" }, titles[i]), h("span", { class: "track" }, bar, name === "loss" && mark), value)));
  const note = h("p", { class: "note average-note" });
  const element = h("div", { class: "costs-chart" }, rows, note, reason);

  function place({ bar }, from, width, scale) {
    bar.style.left = `${(100 * from) / scale}%`;
    bar.style.width = `${(100 * width) / scale}%`;
  }

  function show({ reconstruction, parts }, average) {
    const kl = parts.reduce((sum, part) => sum + part.nats, 0);
    const loss = reconstruction + kl;
    const scale = Math.max(loss, average === null ? loss : average / AVERAGE_SHARE);
    place(first, 0, reconstruction, scale);
    place(second, reconstruction, kl, scale);
    place(total, 0, loss, scale);
    bars.forEach(({ value, bar }, i) => {
      const cost = [reconstruction, kl, loss][i];
      value.textContent = nats(cost);
      bar.dataset.nats = cost;
    });
    second.bar.replaceChildren(...(parts.length > 1 ? parts.map(segment) : []));
    mark.hidden = average === null;
    mark.style.left = `${(100 * (average ?? 0)) / scale}%`;
    note.textContent = average === null ? "" : `The line marks the average loss of the test images, ${nats(average)}.`;
    element.classList.remove("awaiting", "without");
    reason.hidden = true;
  }

  function empty(text) {
    element.classList.remove("awaiting");
    element.classList.add("without");
    reason.textContent = text;
    reason.hidden = false;
  }

  return { element, show, empty, wait: () => element.classList.add("awaiting") };
}

function segment({ name, nats: size }) {
  const element = h("span", { title: `${name}: ${nats(size)}` });
  element.style.flexGrow = size;
  return element;
}
