// The three views of compared images: beside each other, one wiped over another, and differences.
import { h } from "../dom.js";
import { tile } from "../tiles.js";
import { changes, differenceCanvas, inWords } from "./difference.js";
import { sheetOf, wipe } from "./wipe.js";

export const VIEWS = ["beside", "wipe", "difference"];

const sizeOf = ({ width, height }) => `${width}×${height}`;

/** Return the columns whose images have another size than those of the first one. */
const unlike = ([first, ...others]) => others.filter(({ version }) => sizeOf(version) !== sizeOf(first.version));

/**
 * Create the area of the views. `wiped(share)` is called when the user has moved the line of the wipe.
 * Returns {element, show(columns, values)}; the columns are those of inputs.js, with the shots to show.
 */
export function views(context, wiped) {
  const wiping = wipe(wiped);
  const element = h("div", { class: "compare-view", "data-result": "" });
  let newest = 0;

  async function show(columns, values) {
    const mine = (newest += 1);
    const parts = columns.length ? await VIEW[values.view](columns, values) : [];
    if (mine !== newest) return;
    if (parts.length && parts.every((part, i) => part === element.children[i])) return;
    const focused = element.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    element.replaceChildren(...parts);
    if (focused) element.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  }

  const VIEW = {
    beside: async (columns) => [sides(columns.map((column) => side(column, column.shots.map(plain))))],
    async wipe(columns, { against, wipe: share }) {
      const pair = [columns[0], columns[Math.min(against, columns.length - 1)]];
      const other = unlike(pair);
      if (columns.length < 2 || other.length) return refusal(columns, other, "A wipe");
      const sheets = await Promise.all(pair.map(async ({ version, shots }) => sheetOf(await pixelsOf(shots), acrossOf(shots), `${shots.length === 1 ? "Image" : "Images"} of ${version.ref}`)));
      wiping.show(sheets, pair.map(({ version }) => version.ref), share);
      wiping.element.classList.toggle("single", pair[0].shots.length === 1);
      return [wiping.element];
    },
    async difference(columns, { gain }) {
      const isDrawing = columns[0].seen !== null;
      const other = isDrawing ? [] : unlike(columns);
      if ((columns.length < 2 && !isDrawing) || other.length) return refusal(columns, other, "A difference");
      const base = isDrawing ? null : await pixelsOf(columns[0].shots);
      const shown = await Promise.all(columns.map(async (column, i) => {
        if (!isDrawing && i === 0) return side(column, column.shots.map(plain));
        const from = base ?? (await pixelsOf([column.seen]));
        const figures = (await pixelsOf(column.shots)).map((image, at) => difference(from[at], image, gain, column.shots[at], isDrawing ? "the input" : columns[0].version.ref));
        return side(column, figures, ` − ${isDrawing ? "input" : columns[0].version.ref}`);
      }));
      return [sides(shown), h("p", { class: "note gain-note" }, h("span", { class: "lost" }, "Blue is darker"), ", ", h("span", { class: "added" }, "orange is brighter"), `, ${gain} times as strong as it is. The percentage is the mean difference of a pixel from ${isDrawing ? "the image that the model got" : columns[0].version.ref}.`)];
    },
  };

  /** Show the images beside each other, and say why the selected view is impossible. */
  function refusal(columns, other, view) {
    const why = other.length
      ? `${view} needs images of one size. ${[columns[0], ...other].map(({ version }) => `${version.ref} makes ${sizeOf(version)} pixels`).join(", ")}.`
      : `${view} needs a second version. Add one.`;
    return [h("p", { class: "note refusal" }, why), sides(columns.map((column) => side(column, column.shots.map(plain))))];
  }

  const plain = ({ item, name, caption }) => tile(item, context, { name, caption });

  function side({ version, seen, shots }, figures, suffix = "") {
    const grid = h("div", { class: "tiles" }, figures);
    grid.style.setProperty("--across", acrossOf(shots));
    return h("div", { class: `compared ${shots.length === 1 ? "single" : ""}` },
      h("h3", {}, version.ref, suffix && h("span", { class: "minus" }, suffix)), grid, seen && h("div", { class: "tiles seen" }, plain(seen)));
  }

  function sides(children) {
    const row = h("div", { class: "sides" }, children);
    row.style.setProperty("--versions", children.length);
    return row;
  }

  return { element, show };
}

const pixelsOf = (shots) => Promise.all(shots.map(({ pixels }) => pixels()));
const acrossOf = (shots) => Math.ceil(Math.sqrt(shots.length));

function difference(from, image, gain, { name }, base) {
  const change = changes(from, image);
  const words = inWords(change);
  return h("figure", { class: "tile-figure" }, h("div", { class: "tile still" }, differenceCanvas(change, image, gain, `${name}: difference from ${base}, ${words}`)), h("figcaption", {}, words));
}
