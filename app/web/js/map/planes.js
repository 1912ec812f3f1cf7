// Planes through the latent space.
//
// The latent at a place [s, t] of a plane is origin + s * across + t * up. A plane has
//
//   origin, across, up   arrays of numbers
//   names                what s and t are called
//   home                 the place that is selected first
//   view                 {s, t, half}: the square that is shown first, from s - half to s + half
//   marks                places with a name: [[name, s, t], ...]
import { Problem } from "../api.js";
import { latentOf } from "./encoded_images.js";
import { dot, meanOf, principalAxes, unit } from "./pca.js";

/** Share of the points that the first view of a plane shows. */
const SHOWN = 0.98;

/** Return the latent at a place. */
export const latentAt = ({ origin, across, up }, [s, t]) => origin.map((value, d) => value + s * across[d] + t * up[d]);

/** Return a function that maps a latent to the place of its projection onto the plane, and to its distance from the plane: [s, t, distance]. */
export function projector({ origin, across, up }) {
  const [aa, au, uu] = [dot(across, across), dot(across, up), dot(up, up)];
  const determinant = aa * uu - au * au;
  return (latent) => {
    const offset = origin.map((value, d) => latent[d] - value);
    const [a, u] = [dot(offset, across), dot(offset, up)];
    const [s, t] = [(uu * a - au * u) / determinant, (aa * u - au * a) / determinant];
    const rest = offset.map((value, d) => value - s * across[d] - t * up[d]);
    return [s, t, Math.sqrt(dot(rest, rest))];
  };
}

/** Return the covariance of the projection of N(mu, sigma^2): [var s, cov, var t]. */
export function projectedCovariance({ across, up }, logvar) {
  const [aa, au, uu] = [dot(across, across), dot(across, up), dot(up, up)];
  const determinant = aa * uu - au * au;
  let [ss, st, tt] = [0, 0, 0];
  logvar.forEach((value, d) => {
    const s = (uu * across[d] - au * up[d]) / determinant;
    const t = (aa * up[d] - au * across[d]) / determinant;
    const variance = Math.exp(value);
    ss += variance * s * s;
    st += variance * s * t;
    tt += variance * t * t;
  });
  return [ss, st, tt];
}

/** Return the half axes of the ellipse of one standard deviation, and the angle of the first (radians). */
export function ellipseOf([ss, st, tt]) {
  const middle = (ss + tt) / 2;
  const spread = Math.hypot((ss - tt) / 2, st);
  return { radii: [Math.sqrt(middle + spread), Math.sqrt(Math.max(0, middle - spread))], angle: Math.atan2(2 * st, ss - tt) / 2 };
}

/** Return the plane of two dimensions, x and y, through a latent. `space` is the name of its numbers, "z" or "u". */
export function dimensionsPlane(centre, [x, y], half, space) {
  const axis = (dim) => centre.map((_, d) => Number(d === dim));
  return {
    origin: centre.map((value, d) => (d === x || d === y ? 0 : value)), across: axis(x), up: axis(y), names: [`${space}${x}`, `${space}${y}`],
    home: [x, y].map((dim) => Math.min(Math.max(centre[dim], -half), half)), view: { s: 0, t: 0, half }, marks: [],
  };
}

/** Return the plane through three latents. */
export function seedsPlane([a, b, c]) {
  return {
    origin: a, across: b.map((value, d) => value - a[d]), up: c.map((value, d) => value - a[d]), names: ["towards B", "towards C"],
    home: [0, 0], view: { s: 0.5, t: 0.5, half: 1 }, marks: [["A", 0, 0], ["B", 1, 0], ["C", 0, 1]],
  };
}

/** Return the plane of the two principal axes of the latents. */
export function pcaPlane(encoded) {
  const { mean, axes: [across, up] } = principalAxes(encoded.u, encoded.count, encoded.latent);
  const plane = { origin: mean, across, up, names: ["axis 1", "axis 2"], home: [0, 0], marks: [] };
  return { ...plane, view: viewOf(plane, encoded, all(encoded)) };
}

/**
 * Return the plane between two classes: s is 0 at the mean latent of the one and 1 at that of the
 * other. t follows the direction in which the two classes vary most besides.
 */
export function classesPlane(encoded, [from, to], names) {
  const members = all(encoded).filter((i) => encoded.labels[i] === from || encoded.labels[i] === to);
  const [a, b] = [from, to].map((label) => classMean(encoded, label));
  const absent = names.filter((_, i) => ![a, b][i]);
  if (absent.length) throw new Problem({ detail: `No test image of the class ${absent[0]} was published.`, remedy: "choose another class" });
  const across = b.map((value, d) => value - a[d]);
  const length = Math.sqrt(dot(across, across));
  const direction = across.map((value) => value / length);
  const rest = Float64Array.from(members.flatMap((i) => {
    const latent = latentOf(encoded, i);
    const along = dot(latent, direction);
    return latent.map((value, d) => value - along * direction[d]);
  }));
  const { axes: [axis] } = principalAxes(rest, members.length, encoded.latent, 1);
  const square = axis.map((value, d) => value - dot(axis, direction) * direction[d]);
  const plane = { origin: a, across, up: unit(square).map((value) => length * value), names: [`from ${names[0]} to ${names[1]}`, "at right angles"], home: [0.5, 0], marks: [[names[0], 0, 0], [names[1], 1, 0]] };
  const { half } = viewOf(plane, encoded, members, [0.5, 0]);
  return { ...plane, view: { s: 0.5, t: 0, half } };
}

/** Classes between which the path shows most, for data sets that have them. */
const CHOSEN_PAIRS = [["4", "9"], ["Sneaker", "Ankle boot"]];

/** Return the labels of the two classes of a plane: those of the values, or else two that were chosen or are close to each other. */
export function classPair({ from, to }, encoded, classes) {
  const chosen = CHOSEN_PAIRS.find((pair) => pair.every((name) => classes.includes(name)));
  const [a, b] = chosen ? chosen.map((name) => classes.indexOf(name)) : closestClasses(encoded, classes);
  const first = from !== null ? classes.indexOf(from) : classes[a] === to ? b : a;
  const second = to !== null && to !== from ? classes.indexOf(to) : first === b ? a : b;
  return [first, second];
}

/** Return the two classes whose mean latents are closest to each other. */
function closestClasses(encoded, classes) {
  const means = classes.map((_, label) => classMean(encoded, label));
  let best = [Infinity, 0, 1];
  for (let a = 0; a < means.length; a++) {
    for (let b = a + 1; b < means.length; b++) {
      if (!means[a] || !means[b]) continue;
      const offset = means[a].map((value, d) => value - means[b][d]);
      const distance = dot(offset, offset);
      if (distance < best[0]) best = [distance, a, b];
    }
  }
  return best.slice(1);
}

const all = ({ count }) => Array.from({ length: count }, (_, i) => i);

/** Return the mean latent of a class, or null if no image shows it. */
function classMean(encoded, label) {
  const members = all(encoded).filter((i) => encoded.labels[i] === label);
  return members.length ? meanOf(members.flatMap((i) => latentOf(encoded, i)), members.length, encoded.latent) : null;
}

/** Return the square around a place that shows most of these images. */
function viewOf(plane, encoded, members, [s, t] = [0, 0]) {
  const project = projector(plane);
  const reach = members.map((i) => {
    const [ps, pt] = project(latentOf(encoded, i));
    return Math.max(Math.abs(ps - s), Math.abs(pt - t));
  }).sort((p, q) => p - q);
  return { s, t, half: Number((reach[Math.floor(SHOWN * (reach.length - 1))] || 1).toPrecision(2)) };
}
