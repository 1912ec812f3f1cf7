// The drawn elements of the diagram: networks as funnels, wires between stages, bells, and the die.

import { svg } from "../svg.js";

/** Create a wire, along which data flows from one stage to the next (see `flow`). */
export function wire() {
  const element = svg("svg", { class: "wire", viewBox: "0 0 40 12", "aria-hidden": "true" },
    svg("path", { class: "rail", d: "M1 6H33" }), svg("path", { class: "pulse", d: "M1 6H33" }), svg("path", { class: "head", d: "M33 2l6 4l-6 4z" }));
  element.addEventListener("animationend", () => element.classList.remove("flowing"));
  return element;
}

/** Show data flowing along elements, once. Style sheets decide how, and whether anything moves. */
export function flow(...elements) {
  for (const element of elements) {
    element.classList.remove("flowing");
    element.getBoundingClientRect(); // The browser restarts an animation only after it computed a style without it.
    element.classList.add("flowing");
  }
}

const FUNNEL = { width: 96, height: 150, mouth: 146, neck: 44 };

/**
 * Create a funnel for a network, one bar for each of `layers` layers. The encoder narrows from left to
 * right; the decoder (`mirrored`) widens.
 */
export function funnel(layers, mirrored) {
  const { width, height, mouth, neck } = FUNNEL;
  const sideAt = (share) => mouth + (neck - mouth) * (mirrored ? 1 - share : share);
  const edge = (x, share, sign) => `${x} ${(height + sign * sideAt(share)) / 2}`;
  const bars = Array.from({ length: layers }, (_, i) => {
    const share = (i + 1) / (layers + 1);
    const half = sideAt(share) / 2 - 9;
    return svg("line", { class: "layer", x1: share * width, x2: share * width, y1: height / 2 - half, y2: height / 2 + half });
  });
  return svg("svg", { class: "funnel", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    svg("path", { class: "body", d: `M${edge(1, 0, -1)}L${edge(width - 1, 1, -1)}L${edge(width - 1, 1, 1)}L${edge(1, 0, 1)}Z` }), ...bars);
}

/** Return how many layers of the encoder the drawing shows. */
export function layersOf({ manifest: { spec: { network } } }) {
  return Math.min(6, (network.channels?.length ?? 0) + [network.hidden ?? []].flat().length);
}

/** Create a die that shows five. */
export function die() {
  const pips = [[7, 7], [17, 7], [12, 12], [7, 17], [17, 17]].map(([cx, cy]) => svg("circle", { cx, cy, r: 1.9 }));
  const element = svg("svg", { class: "die", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("rect", { x: 1.5, y: 1.5, width: 21, height: 21, rx: 5 }), ...pips);
  element.addEventListener("animationend", () => element.classList.remove("flowing"));
  return element;
}

/** Width and height of a bell in its own units; style sheets stretch it. The lowest BASE units are for draws. */
export const BELL = { width: 200, height: 44, base: 8 };
const POINTS = 48;
/** Share of the height that a bell with sigma 1 has. A narrower one is higher, by the square root. */
const UNIT_HEIGHT = 0.42;

/** Return the x of a value in a bell whose axis goes from -limit to limit. */
export const bellX = (value, limit) => ((Math.min(limit, Math.max(-limit, value)) + limit) / (2 * limit)) * BELL.width;

/** Return the outline of N(mu, sigma^2) as the `d` of a path. */
export function bellPath(mu, sigma, limit) {
  const ground = BELL.height - BELL.base;
  const top = (ground - 2) * Math.min(1, UNIT_HEIGHT / Math.sqrt(Math.max(sigma, 1e-9)));
  if (sigma < limit / 300) return `M${bellX(mu, limit).toFixed(1)} ${ground}V2`;
  const points = Array.from({ length: POINTS + 1 }, (_, i) => {
    const x = mu + sigma * (-4 + (8 * i) / POINTS);
    return `${bellX(x, limit).toFixed(1)} ${(ground - top * Math.exp(-0.5 * ((x - mu) / sigma) ** 2)).toFixed(1)}`;
  });
  return `M${points.join("L")}`;
}

/** Return short vertical lines below a bell at these values, as the `d` of a path. */
export function ticksPath(values, limit) {
  return values.map((value) => `M${bellX(value, limit).toFixed(1)} ${BELL.height - BELL.base + 1}V${BELL.height}`).join("");
}
