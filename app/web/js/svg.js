// SVG elements.

/** Create an SVG element, like `h` of dom.js. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Create a text in an SVG image. */
export const label = (x, y, text, attributes = {}) => svg("text", { x, y, ...attributes }, text);
