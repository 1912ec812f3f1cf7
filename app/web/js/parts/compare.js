// Compare: the selected model beside another one, with the same seeds.
import { askJson, newestWins } from "../api.js";
import { natural, real, seed, text } from "../codec.js";
import { button, field, fill, h } from "../dom.js";
import { numbersOf, weightsFile } from "../models.js";
import { tile } from "../tiles.js";
import { randomSeed, requestFor } from "./generate.js";

export const fields = { other: text(), n: natural(16, 1, 64), seed: seed(1), temperature: real(1, 0, 10) };

export function mount(section, context) {
  const { store, catalogue } = context;
  const newest = newestWins();
  const references = catalogue.models.flatMap(({ name, versions }) => versions.map((version) => `${name}@${version}`));
  const other = h("select", { onchange: () => store.set({ other: other.value }, { push: true }) });
  const seedInput = h("input", { type: "number", min: 0, max: 2 ** 32 - 1, step: 1, inputmode: "numeric", required: true, onchange: () => seedInput.reportValidity() && store.set({ seed: Number(seedInput.value) }, { push: true }) });
  const n = h("select", { onchange: () => store.set({ n: Number(n.value) }, { push: true }) });
  const temperatureOutput = h("output");
  const temperature = h("input", { type: "range", min: 0, max: 2, step: 0.05, oninput: () => store.set({ temperature: Number(temperature.value) }) });
  const sides = h("div", { class: "sides" });
  const metrics = h("div", { class: "table" });
  section.append(
    h("div", { class: "controls" }, button("New samples", () => store.set({ seed: randomSeed() }, { push: true }), { class: "primary" }),
      field("Compare with", other), field("Seed", seedInput), field("Images", n), field("Temperature", temperature, temperatureOutput)),
    sides, metrics);

  /** Return the version to compare with if none is selected: another model with different weights, if there is one. */
  function defaultOther(model) {
    const { sha256 } = weightsFile(model.manifest);
    const other = catalogue.models.find(({ name, weights_sha256 }) => name !== model.name && weights_sha256 !== sha256);
    return other ? `${other.name}@${other.version}` : references.find((reference) => reference !== model.ref) ?? model.ref;
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
    metrics.replaceChildren(table(both));
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
  const columns = both.map((model) => new Map(numbersOf(model).map(([name, value]) => [name, value])));
  const names = [...new Set(columns.flatMap((column) => [...column.keys()]))];
  return h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "off-screen" }, "Metric")), ...both.map(({ ref }) => h("th", { scope: "col" }, ref)))),
    h("tbody", {}, ...names.map((name) => h("tr", {}, h("th", { scope: "row" }, name), ...columns.map((column) => h("td", {}, column.get(name) ?? "–"))))));
}
