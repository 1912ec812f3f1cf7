// The decoded pictures of a plane, one for each cell of a lattice.
//
// A lattice has SIDE cells along each side of the first view. When the view is zoomed in, cells are
// halved, so that a view has 11 to 21 cells along each side. Pictures that were decoded are kept until
// the plane changes, and those that are missing are decoded from the middle of the view outwards.
import { imageDataOf } from "../decoding.js";
import { h } from "../dom.js";
import { latentAt } from "./planes.js";

/** Cells along each side of the first view: an odd number, so that one is at the centre. */
const SIDE = 15;
/** Pictures in one call of the decoder: few, so that the picture at the pointer does not wait for long. */
const BATCH = { local: 24, service: 45 };
/** Bytes of the pictures that are kept. */
const MAX_BYTES = 64e6;
const NEARLY = 1e-6;

/**
 * Create the mosaic of a plane. `decoder` is that of the model (see decoding.js); `changed()` is
 * called when pictures were added. Returns
 *
 *   paint(brush, size, view)   draws what is decoded of a view on a canvas of [width, height] pixels
 *   fill(view, signal)         decodes what is missing in the view that `view()` returns; until all of
 *                              it is there, or the signal is aborted
 *   missing(view)              number of cells of a view without a picture
 */
export function createMosaic(plane, model, decoder, changed) {
  const pictures = new Map();
  const most = Math.floor(MAX_BYTES / (4 * model.width * model.height));
  let sheet = null;
  let under = null;

  /** Return the lattice of a view: level, size of a cell, and the cells from [left, bottom] to [right, top]. */
  function latticeOf({ s, t, half }) {
    const level = Math.round(Math.log2(plane.view.half / half));
    const cell = (2 * plane.view.half) / SIDE / 2 ** level;
    const first = (offset) => Math.floor(offset / cell + 0.5 + NEARLY);
    const last = (offset) => Math.ceil(offset / cell - 0.5 - NEARLY);
    const [ds, dt] = [s - plane.view.s, t - plane.view.t];
    return { level, cell, left: first(ds - half), right: last(ds + half), bottom: first(dt - half), top: last(dt + half) };
  }

  const keyOf = ({ level }, i, j) => `${level}:${i}:${j}`;
  const placeOf = ({ cell }, i, j) => [plane.view.s + i * cell, plane.view.t + j * cell];

  function missingIn(lattice) {
    const cells = [];
    for (let j = lattice.top; j >= lattice.bottom; j--) {
      for (let i = lattice.left; i <= lattice.right; i++) if (!pictures.has(keyOf(lattice, i, j))) cells.push([i, j]);
    }
    return cells;
  }

  /** Make the sheet, which has all cells of a lattice in the pixels of the model. */
  function layOut(lattice) {
    if (sheet && sheet.lattice.level !== lattice.level) under = sheet;
    const [across, down] = [lattice.right - lattice.left + 1, lattice.top - lattice.bottom + 1];
    const canvas = h("canvas", { width: across * model.width, height: down * model.height });
    sheet = { lattice, canvas, brush: canvas.getContext("2d") };
    for (let j = lattice.bottom; j <= lattice.top; j++) for (let i = lattice.left; i <= lattice.right; i++) put(i, j);
  }

  function put(i, j) {
    const { lattice, brush } = sheet;
    const picture = pictures.get(keyOf(lattice, i, j));
    if (picture) brush.putImageData(picture, (i - lattice.left) * model.width, (lattice.top - j) * model.height);
  }

  function paint(brush, [width, height], view) {
    const lattice = latticeOf(view);
    if (!sheet || JSON.stringify(sheet.lattice) !== JSON.stringify(lattice)) layOut(lattice);
    brush.clearRect(0, 0, width, height);
    brush.imageSmoothingEnabled = false;
    if (under && missingIn(lattice).length) paintSheet(under, brush, [width, height], view);
    else under = null;
    paintSheet(sheet, brush, [width, height], view);
  }

  function paintSheet({ lattice, canvas }, brush, [width, height], { s, t, half }) {
    const [left] = placeOf(lattice, lattice.left - 0.5, 0);
    const [, top] = placeOf(lattice, 0, lattice.top + 0.5);
    const [columns, rows] = [canvas.width / model.width, canvas.height / model.height];
    const scale = lattice.cell / (2 * half);
    brush.drawImage(canvas, ((left - s) / (2 * half) + 0.5) * width, (0.5 - (top - t) / (2 * half)) * height, columns * scale * width, rows * scale * height);
  }

  /** Return the cells that are decoded next: those nearest to the middle of the view. */
  function nextOf(lattice, view) {
    const distance = ([i, j]) => {
      const [s, t] = placeOf(lattice, i, j);
      return Math.max(Math.abs(s - view.s), Math.abs(t - view.t));
    };
    const cells = missingIn(lattice).sort((p, q) => distance(p) - distance(q));
    return cells.slice(0, decoder.local ? BATCH.local : BATCH.service);
  }

  async function fill(view, signal) {
    while (!signal.aborted) {
      const lattice = latticeOf(view());
      const cells = nextOf(lattice, view());
      if (!cells.length) return;
      const decoded = await decoder.decode(cells.map(([i, j]) => latentAt(plane, placeOf(lattice, i, j))), { signal });
      if (signal.aborted) return;
      cells.forEach(([i, j], k) => {
        pictures.set(keyOf(lattice, i, j), imageDataOf(model, decoded[k]));
        if (sheet?.lattice.level === lattice.level) put(i, j);
      });
      for (const key of pictures.keys()) {
        if (pictures.size <= most) break;
        pictures.delete(key);
      }
      changed();
    }
  }

  return { paint, fill, missing: (view) => missingIn(latticeOf(view)).length };
}
