// The choice of the model in the header: models grouped by data set, and the versions of the chosen one.
import { fill, h } from "./dom.js";
import { memberText, modelGroups } from "./model_groups.js";
import { datasetText, modelText } from "./model_words.js";
import { numbersOf } from "./models.js";
import { bestFirst, qualityText } from "./sample_quality.js";

/** Numbers of the selected version (see numbersOf) that are always in view. */
const HEADER_NUMBERS = ["Sample quality", "Latent space"];

const find = (id) => document.getElementById(id);

/** Connect the controls in the header. `choose(reference)` is called with `name` or `name@version`. */
export function modelPicker(choose) {
  find("model").addEventListener("change", () => choose(find("model").value));
  find("version").addEventListener("change", () => choose(`${find("model").value}@${find("version").value}`));

  /** Show the models, of which a version (see models.js) is selected. */
  function show(models, selected) {
    const entry = models.find(({ name }) => name === selected.name);
    find("model").replaceChildren(...modelGroups(models).map((group) => (group.family ? familyOf(group) : groupOf(group.models))));
    find("model").value = selected.name;
    fill(find("version"), entry.versions.map((version) => [version, versionText(entry, version)]), selected.version);
    find("model").disabled = find("version").disabled = false;
    find("about").textContent = `${datasetText(entry)}. ${selected.name}: ${modelText(entry)}.`;
    const numbers = numbersOf(selected).filter(([name]) => HEADER_NUMBERS.includes(name));
    find("numbers").replaceChildren(...numbers.map(([name, value, how]) => h("span", { title: how }, `${name} ${value}`)));
  }

  return { show };
}

/** Return a group of options for the models of one data set, the best samples first. */
function groupOf(models) {
  return h("optgroup", { label: datasetText(models[0]) }, bestFirst(models).map((model) => h("option", { value: model.name }, `${model.name}: ${modelText(model)}; ${qualityText(model)}`)));
}

/** Return a group of options for the members of a family. */
function familyOf({ label, models }) {
  return h("optgroup", { label }, models.map((model) => h("option", { value: model.name }, memberText(model))));
}

function versionText({ aliases }, version) {
  const names = Object.entries(aliases).filter(([, target]) => target === version).map(([alias]) => alias);
  return names.length ? `version ${version} (${names.join(", ")})` : `version ${version}`;
}
