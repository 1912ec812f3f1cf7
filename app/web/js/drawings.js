// The strokes of drawings. The address holds only the prepared image of a drawing. With its strokes,
// which this tab stores, the last stroke can still be undone after a reload or with the back button.
import { fromBase64, toBase64Url } from "./codec.js";

const KEY = "zserve.drawings";
const MAX_DRAWINGS = 40;

/** Load the drawings of this tab. Returns {of(image), keep(image, drawing)}; images are bytes of PNGs. */
export function openDrawings() {
  let entries = load();

  return {
    /** Return {base, strokes}: the bytes of the picture below the strokes, or null, and the strokes. Returns null for other images. */
    of(image) {
      const entry = entries.find(([key]) => key === toBase64Url(image))?.[1];
      return entry ? { base: entry.base && fromBase64(entry.base), strokes: structuredClone(entry.strokes) } : null;
    },
    keep(image, { base, strokes }) {
      const key = toBase64Url(image);
      const entry = { base: base && toBase64Url(base), strokes: structuredClone(strokes) };
      entries = [[key, entry], ...entries.filter(([other]) => other !== key)].slice(0, MAX_DRAWINGS);
      save(entries);
    },
  };
}

const isPoint = (point) => Array.isArray(point) && point.length === 2 && point.every(Number.isFinite);
const isStroke = (stroke) => Array.isArray(stroke) && stroke.length > 0 && stroke.every(isPoint);

function load() {
  try {
    const stored = JSON.parse(sessionStorage.getItem(KEY)) ?? [];
    return stored.filter(([, { strokes }]) => Array.isArray(strokes) && strokes.every(isStroke));
  } catch {
    return [];
  }
}

function save(entries) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(entries));
  } catch {
    // Without storage, the strokes are lost when the page is loaded again; the image is not.
  }
}
