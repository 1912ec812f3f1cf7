// The classes of the points, with their colours. A class can be chosen to show its points alone.
import { button, h } from "../dom.js";
import { colourOf } from "./colours.js";

/** Create the legend. `choose(name)` is called with a class, or null for all of them. Returns {element, show(classes, only)}. */
export function createLegend(choose) {
  const element = h("div", { class: "legend", role: "group", "aria-label": "Classes of the points" });
  let shown = null;

  function show(classes, only) {
    element.hidden = !classes.length;
    const key = JSON.stringify(classes);
    if (shown !== key) {
      shown = key;
      element.replaceChildren(...classes.map((name, label) => button([swatch(label), name], () => choose(isPressed(label) ? null : name), { "aria-pressed": "false" })));
    }
    classes.forEach((name, label) => element.children[label].setAttribute("aria-pressed", String(name === only)));
  }

  const isPressed = (label) => element.children[label].getAttribute("aria-pressed") === "true";

  return { element, show };
}

/** Return a dot in the colour of a class. */
export function swatch(label) {
  const dot = h("span", { class: "swatch", "aria-hidden": "true" });
  dot.style.background = colourOf(label);
  return dot;
}
