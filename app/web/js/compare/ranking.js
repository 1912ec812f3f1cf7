// Which of several versions is better, and why some are not ranked: numbers of different data sets
// cannot be compared, so they stand in tables of their own.
import { h } from "../dom.js";
import { explained } from "../explain.js";
import { datasetName } from "../model_words.js";
import { numbersOf } from "../models.js";

/** Return "a", "a and b" or "a, b and c". */
export const listed = (words) => (words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words.join(""));

/** Return the versions in groups of one data set each, in the order in which the data sets occur. */
export function byDataset(versions) {
  const datasets = [...new Set(versions.map(({ dataset }) => dataset))];
  return datasets.map((dataset) => versions.filter((version) => version.dataset === dataset));
}

/** Return a sentence that says which version makes the best samples, or why the versions are not ranked. */
export function verdict(versions) {
  if (versions.length < 2) return "";
  const [first, ...others] = versions;
  if (others.some(({ dataset }) => dataset !== first.dataset)) {
    const trained = others.map(({ ref, dataset }) => `${ref} on ${datasetName(dataset)}`);
    return `Not ranked: ${first.ref} was trained on ${datasetName(first.dataset)}, ${trained.join(", ")}, and measurements of different data sets cannot be compared.`;
  }
  const unmeasured = versions.filter(({ sample_quality: quality }) => !quality);
  if (unmeasured.length) return `Not ranked: the samples of ${listed(unmeasured.map(({ ref }) => ref))} were not measured.`;
  return ranked(versions.toSorted((a, b) => distance(a) - distance(b)));
}

/** Return the distance with the digits that are shown: a difference that they hide is no ranking. */
const distance = ({ sample_quality: quality }) => Number(quality.frechet_distance.toFixed(2));

/** Return the sentence for measured versions of one data set, the best one first. */
function ranked(versions) {
  const best = versions.filter((version) => distance(version) === distance(versions[0]));
  const rest = versions.slice(best.length);
  const names = listed(best.map(({ ref }) => ref));
  if (!rest.length) return `${names} make equally good samples.`;
  const against = listed(rest.map((version) => `${distance(version).toFixed(2)} of ${version.ref}`));
  const degree = versions.length > 2 ? "best" : "better";
  return `${names} ${best.length > 1 ? "make" : "makes"} the ${degree} samples: their Frechet distance from real images is ${distance(best[0]).toFixed(2)}, against ${against}.`;
}

/**
 * Return a mark for each score ([number, "higher" or "lower"], or null): "better" and "worse" for two
 * scores, "best" and "worst" for more. Scores that are missing, between the ends or all equal get null.
 */
export function marksOf(scores) {
  const measured = scores.filter(Boolean);
  const values = measured.map(([value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (measured.length < 2 || low === high) return scores.map(() => null);
  const [good, bad] = measured.length > 2 ? ["best", "worst"] : ["better", "worse"];
  return scores.map((score) => {
    if (!score || (score[0] !== low && score[0] !== high)) return null;
    return (score[0] === high) === (score[1] === "higher") ? good : bad;
  });
}

const SYMBOLS = { better: "▲", best: "▲", worse: "▼", worst: "▼" };
const GOOD = ["better", "best"];

/**
 * Return the tables of numbers, one for each data set. `extra(version)` returns more rows for a
 * version, in the form of numbersOf.
 */
export function tables(versions, extra) {
  const groups = byDataset(versions);
  return groups.map((group) => {
    const name = groups.length > 1 ? `Versions trained on ${datasetName(group[0].dataset)}` : null;
    return h("section", { class: "ranking" }, name && h("h4", {}, name),
      h("div", { class: "table", tabindex: 0, role: "region", "aria-label": name ?? "Numbers of the versions" }, table(group, extra)));
  });
}

function table(versions, extra) {
  const columns = versions.map((version) => new Map([...extra(version), ...numbersOf(version)].map(([name, value, how, score]) => [name, { value, how, score }])));
  const names = [...new Set(columns.flatMap((column) => [...column.keys()]))];
  return h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "off-screen" }, "Number")), ...versions.map(({ ref }) => h("th", { scope: "col" }, ref)))),
    h("tbody", {}, ...names.map((name) => row(name, columns.map((column) => column.get(name))))));
}

/** Return the score of a cell with the digits that are shown, or null. */
const shownScore = (cell) => (cell?.score ? [Number.parseFloat(cell.value), cell.score[1]] : null);

function row(name, cells) {
  const marks = marksOf(cells.map(shownScore));
  return h("tr", {}, h("th", { scope: "row" }, explained(name)), ...cells.map((cell, i) => h("td", { title: cell?.how }, cell?.value ?? "–", " ", mark(marks[i]))));
}

const mark = (word) => word && h("span", { class: `mark ${GOOD.includes(word) ? "better" : "worse"}` }, `${SYMBOLS[word]} ${word}`);
