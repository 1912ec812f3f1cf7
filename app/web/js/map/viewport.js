// The part of a plane that is shown, {s, t, half}: a square around the place [s, t].

/** How far the view may go from the first view of a plane, as multiples of its half side. */
const FARTHEST = 8;
const CLOSEST_ZOOM = 64;
const WIDEST_ZOOM = 1 / 4;

/** Return a view that is near enough to the first one, `home`. */
export function bounded({ s, t, half }, home) {
  const near = (value, middle) => Math.min(Math.max(value, middle - FARTHEST * home.half), middle + FARTHEST * home.half);
  return { s: near(s, home.s), t: near(t, home.t), half: Math.min(Math.max(half, home.half / CLOSEST_ZOOM), home.half / WIDEST_ZOOM) };
}

/** Return true if a view, or a place, is near enough to the first view. */
export function isNear(view, home) {
  const near = bounded(view, home);
  return ["s", "t", "half"].every((name) => Math.abs(near[name] - view[name]) <= 1e-4 * home.half);
}

/** Return the view from which the place at the fraction [x, y] of the board, from its top left, stays there when it is zoomed in by a factor. */
export function zoomed(view, factor, [x, y], home) {
  const half = bounded({ ...view, half: view.half / factor }, home).half;
  const change = view.half - half;
  return bounded({ s: view.s + (2 * x - 1) * change, t: view.t - (2 * y - 1) * change, half }, home);
}

/** Return the view after the board was moved by a fraction of its size, to the right and down. */
export const moved = (view, [x, y], home) => bounded({ ...view, s: view.s - 2 * view.half * x, t: view.t + 2 * view.half * y }, home);

/** Return the view moved as little as possible so that it shows a place. */
export function showing(view, [s, t]) {
  const within = (middle, value) => Math.min(Math.max(middle, value - 0.95 * view.half), value + 0.95 * view.half);
  return { ...view, s: within(view.s, s), t: within(view.t, t) };
}

/** Return where a place is, as fractions of the board from its top left. */
export const fractionOf = ({ s, t, half }, [ps, pt]) => [(ps - s) / (2 * half) + 0.5, 0.5 - (pt - t) / (2 * half)];

/** Return the place at fractions of the board from its top left. */
export const placeAt = ({ s, t, half }, [x, y]) => [s + (2 * x - 1) * half, t - (2 * y - 1) * half];
