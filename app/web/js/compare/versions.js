// Which versions are compared: the selected one, and up to three others.
import { button, field, h } from "../dom.js";
import { datasetName } from "../model_words.js";
import { weightsFile } from "../models.js";
import { bestFirst } from "../sample_quality.js";

/** Most versions beside the selected one. */
export const MOST_OTHERS = 3;

/** Create the field for the other versions, an array of references, such as `lab@4,mnist-flow@5`. */
export function versionsField() {
  const parse = (text) => {
    const references = text.split(",");
    return references.length <= MOST_OTHERS && references.every(Boolean) ? references : undefined;
  };
  const misfit = (references, model, catalogue) => {
    try {
      references.forEach(catalogue.reference);
      return null;
    } catch (problem) {
      return startingLow(problem.message);
    }
  };
  return { initial: null, instead: "The page chose the other versions instead.", parse, format: (references) => references.join(","), accepts: `at most ${MOST_OTHERS} versions, such as mnist@11, with commas between them`, misfit };
}

/** Return a sentence about something that does not exist, to be continued from another one. */
const startingLow = (sentence) => sentence.replace(/^There is/, "there is");

const referenceOf = ({ name, version }) => `${name}@${version}`;

/**
 * Return the versions to compare with if none is selected: the best other model of the same data set,
 * with different weights, or another version of the model. There is none if nothing else was trained
 * on this data set, because numbers of different data sets cannot be compared.
 */
export function defaultOthers(model, { models }) {
  const { sha256 } = weightsFile(model.manifest);
  const [alike] = bestFirst(models.filter((one) => one.dataset === model.dataset && one.name !== model.name && one.weights_sha256 !== sha256));
  if (alike) return [referenceOf(alike)];
  const { versions } = models.find(({ name }) => name === model.name);
  return versions.filter((version) => version !== model.version).slice(0, 1).map((version) => `${model.name}@${version}`);
}

/**
 * Create the controls of the other versions. `changed(references)` is called when the user selects,
 * adds or removes a version. Returns {element, show(references, model)}.
 */
export function versionControls({ models }, changed) {
  const element = h("div", { class: "versions" });

  function optionsOf(model) {
    const datasets = [...new Set([model.dataset, ...models.map(({ dataset }) => dataset)])];
    return datasets.map((label) => h("optgroup", { label: datasetName(label) }, bestFirst(models.filter(({ dataset }) => dataset === label))
      .flatMap(({ name, versions }) => versions.map((version) => h("option", {}, `${name}@${version}`)))));
  }

  function control(references, i, model) {
    const select = h("select", { onchange: () => changed(references.with(i, select.value)) }, ...optionsOf(model));
    select.value = references[i];
    const remove = button("×", () => changed(references.toSpliced(i, 1)), { class: "remove", "aria-label": `Remove ${references[i]}`, title: `Remove ${references[i]}` });
    return h("div", { class: "version-choice" }, field(references.length > 1 ? `Compare with (${i + 1})` : "Compare with", select), references.length > 1 && remove);
  }

  /** Return the best version that is not compared yet, of the same data set if there is one left. */
  function nextOther(references, model) {
    const left = models.flatMap((one) => one.versions.map((version) => ({ ...one, version }))).filter((one) => ![model.ref, ...references].includes(referenceOf(one)));
    const [best] = bestFirst(left.filter(({ dataset }) => dataset === model.dataset));
    return best ?? left[0];
  }

  return {
    element,
    show(references, model) {
      const next = references.length < MOST_OTHERS && nextOther(references, model);
      const focused = [...element.querySelectorAll("select, button")].indexOf(document.activeElement);
      element.replaceChildren(...references.map((_, i) => control(references, i, model)),
        next ? button("Add a version", () => changed([...references, referenceOf(next)]), { class: "add-version" }) : "");
      if (focused >= 0) [...element.querySelectorAll("select, button")].at(Math.min(focused, element.querySelectorAll("select, button").length - 1))?.focus();
    },
  };
}
