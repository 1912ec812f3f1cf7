// Compare: the selected model beside another one, with the same seeds.
import { askJson, newestWins } from "../api.js";
import { natural, real, reference as otherVersion, seed } from "../codec.js";
import { button, field, fill, h } from "../dom.js";
import { numbersOf, weightsFile } from "../models.js";
import { bestFirst, verdict } from "../sample_quality.js";
import { tile } from "../tiles.js";
import { randomSeed, requestFor } from "./generate.js";

export const fields = { other: otherVersion(), n: natural(16, 1, 64), seed: seed(1), temperature: real(1, 0, 10) };

export function mount(section, context) {
  const { store, catalogue } = context;
  const newest = newestWins();
  const referenceOf = ({ name, version }) => `${name}@${version}`;
  const references = catalogue.models.flatMap(({ name, versions }) => versions.map((version) => `${name}@${version}`));
  const other = h("select", { onchange: () => store.set({ other: other.value }, { push: true }) });
  const seedInput = h("input", { type: "number", min: 0, max: 2 ** 32 - 1, step: 1, inputmode: "numeric", required: true, onchange: () => seedInput.reportValidity() && store.set({ seed: Number(seedInput.value) }, { push: true }) });
  const n = h("select", { onchange: () => store.set({ n: Number(n.value) }, { push: true }) });
  const temperatureOutput = h("output");
  const temperature = h("input", { type: "range", min: 0, max: 2, step: 0.05, oninput: () => store.set({ temperature: Number(temperature.value) }) });
  const sides = h("div", { class: "sides" });
  const metrics = h("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Metrics of both versions" });
  section.append(
    h("div", { class: "controls" }, button("New samples", () => store.set({ seed: randomSeed() }, { push: true }), { class: "primary" }),
      field("Compare with", other), field("Seed", seedInput), field("Images", n), field("Temperature", temperature, temperatureOutput)),
    sides, metrics);

  /**
   * Return the version to compare with if none is selected: the best other model of the same data
   * set, another version of the model, or another model; one with different weights if there is one.
   */
  function defaultOther(model) {
    const { sha256 } = weightsFile(model.manifest);
    const others = bestFirst(catalogue.models.filter(({ name, weights_sha256 }) => name !== model.name && weights_sha256 !== sha256));
    const [alike] = others.filter(({ dataset }) => dataset === model.dataset).map(referenceOf);
    const [older] = references.filter((reference) => reference !== model.ref && reference.startsWith(`${model.name}@`));
    return alike ?? older ?? others.map(referenceOf)[0] ?? references.find((reference) => reference !== model.ref) ?? model.ref;
  }

  async function show(values, model) {
    const reference = values.other ? catalogue.reference(values.other) : defaultOther(model);
    fill(other, references.map((one) => [one, one]), reference);
    seedInput.value = values.seed;
    temperature.value = values.temperature;
    temperatureOutput.textContent = values.temperature.toFixed(2);
    fill(n, [...new Set([4, 16, 36, 64, values.n])].sort((a, b) => a - b).map((size) => [size, size]), values.n);
    const both = [model, await catalogue.version(reference)];
    const requests = both.map((one) => ({ ...requestFor({ ...values, label: null }, one), file: `${one.ref.replace("@", "-")}-seed-${values.seed}.png` }));
    context.offer(requests);
    const answers = await newest((signal) => Promise.all(requests.map((request) => askJson(request, { signal }))));
    if (!answers) return;
    sides.replaceChildren(...answers.map((answer, i) => side(answer, both[i], values)));
    metrics.replaceChildren(h("p", { class: "verdict" }, verdict(...both)), table(both));
    context.remember(`${model.ref} and ${reference}, seed ${values.seed}`, [...sides.querySelectorAll("img")].filter((_, i) => i % values.n < 2).slice(0, 4));
  }

  function side({ images }, model, values) {
    const grid = h("div", { class: "tiles" }, images.map(({ png, z, seed }) => {
      const item = { png, z, seed, plain: values.temperature === 1, model: model.ref, request: requestFor({ ...values, label: null, n: 1, seed }, model) };
      return tile(item, context, { caption: seed, name: `${model.ref}, seed ${seed}` });
    }));
    grid.style.setProperty("--across", Math.ceil(Math.sqrt(values.n)));
    return h("div", { class: "compared" }, h("h3", {}, model.ref), grid);
  }

  return { show };
}

function table(both) {
  const columns = both.map((model) => new Map(numbersOf(model).map(([name, value, , score]) => [name, { value, score }])));
  const names = [...new Set(columns.flatMap((column) => [...column.keys()]))];
  const ranked = both[0].dataset === both[1].dataset;
  return h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "off-screen" }, "Metric")), ...both.map(({ ref }) => h("th", { scope: "col" }, ref)))),
    h("tbody", {}, ...names.map((name) => {
      const cells = columns.map((column) => column.get(name));
      const marks = ranked ? marksOf(cells.map((cell) => cell?.score)) : [null, null];
      return h("tr", {}, h("th", { scope: "row" }, name), ...cells.map((cell, i) => h("td", {}, cell?.value ?? "–", " ", mark(marks[i]))));
    })));
}

/** Return ["better", "worse"] or ["worse", "better"] for two scores (see numbersOf), or nulls if they do not differ. */
function marksOf([a, b]) {
  if (!a || !b || a[0] === b[0]) return [null, null];
  const firstIsBetter = a[1] === "higher" ? a[0] > b[0] : a[0] < b[0];
  return firstIsBetter ? ["better", "worse"] : ["worse", "better"];
}

const mark = (word) => word && h("span", { class: `mark ${word}` }, `${word === "better" ? "▲" : "▼"} ${word}`);
