// The focus: keys that move it among elements, and where it goes when its element is replaced.

/**
 * Move the focus among elements in response to a key: arrows to the neighbours, Home and End to the
 * first and the last. With `isRing`, the neighbour of the last is the first. Returns the element that
 * has the focus now, or null if the key means nothing here.
 */
export function moveAmong(elements, event, { isRing = false } = {}) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const at = elements.indexOf(document.activeElement);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const target = step ? at + step : { Home: 0, End: elements.length - 1 }[event.key];
  if (at < 0 || target === undefined) return null;
  event.preventDefault();
  const next = elements[isRing ? (target + elements.length) % elements.length : Math.min(Math.max(target, 0), elements.length - 1)];
  next.focus();
  return next;
}

/** Let the Tab key reach one of several elements only; arrows, Home and End move among them. */
export function roving(container, elementsOf) {
  container.addEventListener("keydown", (event) => {
    const next = moveAmong(elementsOf(), event);
    if (next) setTabStop(elementsOf(), next);
  });
  container.addEventListener("focusin", ({ target }) => {
    const element = elementsOf().find((one) => one.contains(target));
    if (element) setTabStop(elementsOf(), element);
  });
}

/** Make one of several elements the one that the Tab key reaches. */
export function setTabStop(elements, stop) {
  for (const element of elements) element.tabIndex = element === stop ? 0 : -1;
}

/** The last element with the focus, and its place among the tiles of its grid. */
let last = null;

document.addEventListener("focusin", ({ target }) => {
  const tiles = [...(target.closest(".tiles")?.querySelectorAll(".tile") ?? [])];
  last = { element: target, seed: target.dataset.seed, place: tiles.indexOf(target) };
});

/**
 * If the element with the focus was replaced or hidden, move the focus to the tile in its place, or
 * to the heading of the section. Otherwise it would be at the top of the document.
 */
export function keepFocus(section) {
  const { activeElement } = document;
  if (!last || (activeElement !== document.body && activeElement.checkVisibility())) return;
  if (last.element.isConnected && last.element.checkVisibility()) return;
  const tiles = last.place < 0 ? [] : [...section.querySelectorAll(".tiles .tile")];
  const tile = tiles.find(({ dataset }) => dataset.seed === last.seed) ?? tiles[Math.min(last.place, tiles.length - 1)];
  const heading = section.querySelector("h2");
  if (heading) heading.tabIndex = -1;
  (tile ?? heading)?.focus({ preventScroll: !tile });
}
