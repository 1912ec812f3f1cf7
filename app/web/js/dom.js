// Helpers for DOM elements.

/**
 * Create an element: `h("a", {href: "#", class: "quiet", onclick}, "text", child)`.
 *
 * Attributes and children that are null, undefined or false are left out.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Create a button that does not submit a form. */
export function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", ...attributes, onclick }, text);
}

let fieldCount = 0;

/** Create a control with a label above it. `beside` is an element next to the label, such as an output. */
export function field(text, control, beside = null) {
  control.id ||= `field-${(fieldCount += 1)}`;
  return h("div", { class: "field" }, h("div", { class: "field-name" }, h("label", { for: control.id }, text), beside && " ", beside), control);
}

/** Fill a <select> with options from [value, text] pairs, and select one. */
export function fill(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => h("option", { value }, text)));
  select.value = chosen;
}

/** Create a box for a wide table, which scrolls within it, with the keyboard too. */
export function scrollable(name, table, attributes = {}) {
  return h("div", { ...attributes, class: `table ${attributes.class ?? ""}`.trim(), tabindex: 0, role: "region", "aria-label": name }, table);
}

/** Make a canvas transparent. */
export function blank(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

/** Position a floating element below a rectangle, or above it if there is no room below, within the window. */
function placeNear(floating, near) {
  const { offsetWidth: width, offsetHeight: height } = floating;
  const within = (at, size, all) => Math.max(8, Math.min(at, all - size - 8));
  const below = near.bottom + 6;
  const top = below + height < innerHeight - 8 ? below : near.top - height - 6;
  floating.style.left = `${within(near.left, width, innerWidth)}px`;
  floating.style.top = `${within(top, height, innerHeight)}px`;
}

/** popover -> the controller that ends its following of an element */
const following = new WeakMap();

/** Keep an open popover near an element until it is closed, also while the window scrolls or changes its size. */
export function stayNear(popover, element) {
  following.get(popover)?.abort();
  const controller = new AbortController();
  following.set(popover, controller);
  const { signal } = controller;
  const place = () => (element.isConnected ? placeNear(popover, element.getBoundingClientRect()) : popover.hidePopover());
  addEventListener("resize", place, { signal });
  addEventListener("scroll", place, { signal, capture: true, passive: true });
  popover.addEventListener("toggle", ({ newState }) => newState === "closed" && controller.abort(), { signal });
  place();
}

/** Save a blob as a file. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Copy text to the clipboard. Without HTTPS the clipboard API is missing, so an older command is used. */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = h("textarea", { class: "off-screen" });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("The browser did not allow the page to copy text.");
}
