// The points on the way from one latent to another, as app/sampling/paths.py computes them for /interpolate.
// Latents are arrays of float32 numbers.
import { acos, fixed, ratio, sin, times } from "./exact/fixed_point.js";
import { toFloat32 } from "./exact/rounding.js";

/** |cosine| above which no arc is defined, and the path is straight. */
const NEARLY_PARALLEL = 0.9999995;
/** Largest error of a point on an arc in float64, relative to |a| + |b|. */
const ERROR = 2 ** -40;

const dot = (a, b) => a.reduce((sum, value, d) => sum + value * b[d], 0);

/** Return `steps` latents on a path, "linear" or "slerp", from a to b, both included. */
export function pathBetween(a, b, steps, path) {
  const pointAt = (path === "slerp" && arc(a, b)) || line(a, b);
  const points = Array.from({ length: steps }, (_, i) => pointAt(i * (1 / (steps - 1))));
  return points.with(0, Array.from(a)).with(steps - 1, Array.from(b));
}

const line = (a, b) => (t) => a.map((value, d) => Math.fround((1 - t) * value + t * b[d]));

/** Return the function of the points on the arc from a to b, or null if no arc is defined. */
function arc(a, b) {
  const norms = Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b));
  const cosine = dot(a, b) / norms;
  if (norms === 0 || Math.abs(cosine) > NEARLY_PARALLEL) return null;
  const angle = Math.acos(cosine);
  return (t) => {
    const [ahead, behind] = [Math.sin((1 - t) * angle), Math.sin(t * angle)];
    return a.map((value, d) => toFloat32((ahead * value + behind * b[d]) / Math.sin(angle), (Math.abs(value) + Math.abs(b[d])) * ERROR, () => exactPoint(t, cosine, value, b[d])));
  };
}

/** Return one number of a point on an arc as a fixed-point number. */
function exactPoint(t, cosine, a, b) {
  const angle = acos(fixed(cosine), Math.acos(cosine));
  const [ahead, behind] = [1 - t, t].map((part) => sin(times(fixed(part), angle)));
  return ratio(times(fixed(a), ahead) + times(fixed(b), behind), sin(angle));
}
