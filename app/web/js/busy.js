// Marks what is shown as out of date while the answer to a newer request is awaited.
//
// A marked element has aria-busy="true", which dims its images after a moment (style.css). If the
// answer takes longer, the frame also says so in words, in the corner of the window.

/** Time until the frame says in words that the page waits. */
const SAY_AFTER_MS = 400;
const WAITING = "Waiting for the service. What you see is from before.";
const STARTING = "Waiting for the service.";

/** element -> number of pieces of work that will change it */
const works = new Map();
let pending = 0;
/** Pieces of work after which the frame says that the page waits. */
let inWordsPending = 0;
let timer = null;
let words = null;

/**
 * Run an async function, and mark elements until it has ended: `await busy(grid, async () => ...)`.
 *
 * `elements` is one element or an array. Work on the same element may overlap. Work that tells its
 * progress itself is `inWords: false`. Returns what the function returns, and throws what it throws.
 */
export async function busy(elements, work, { inWords = true } = {}) {
  const marked = [elements].flat();
  marked.forEach((element) => count(element, 1));
  pending += 1;
  inWordsPending += Number(inWords);
  if (inWords) timer ??= setTimeout(say, SAY_AFTER_MS);
  try {
    return await work();
  } finally {
    marked.forEach((element) => count(element, -1));
    pending -= 1;
    inWordsPending -= Number(inWords);
    if (!pending) words = null;
    if (!inWordsPending) rest();
  }
}

/** Say why the answer takes long, such as `The service is busy. Trying again in 2 s.`, until the work has ended. */
export function sayWhileBusy(text) {
  words = text;
  if (pending) say();
}

function count(element, change) {
  const left = (works.get(element) ?? 0) + change;
  if (left) works.set(element, left);
  else works.delete(element);
  if (left) element.setAttribute("aria-busy", "true");
  else element.removeAttribute("aria-busy");
}

function say() {
  const spot = document.getElementById("waiting");
  const isBefore = [...works.keys()].some((element) => element.querySelector("img, canvas"));
  spot.textContent = words ?? (isBefore ? WAITING : STARTING);
  spot.hidden = false;
}

function rest() {
  clearTimeout(timer);
  timer = null;
  document.getElementById("waiting").hidden = !words;
}
