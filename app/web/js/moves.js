// Moves of latents along the directions of a version, as app/api/moves.py computes them for /edit and
// /traverse.
import { ask } from "./api.js";
import { readSafetensors } from "./safetensors.js";

const FILE = "directions.safetensors";
const TYPES = ["F32", "U8"];
const loaded = new Map();

/** Load the directions of a version, once. Returns {steps: Map of name -> (latent,), isBeforeFlow}. */
export function directionsOf(model) {
  if (!loaded.has(model.ref)) {
    const work = load(model);
    work.catch(() => loaded.delete(model.ref));
    loaded.set(model.ref, work);
  }
  return loaded.get(model.ref);
}

async function load({ ref, latent, directions }) {
  const response = await ask({ path: `models/${ref.replace("@", "/")}/files/${FILE}`, method: "GET" });
  const { tensors } = readSafetensors(new Uint8Array(await response.arrayBuffer()), TYPES);
  const { data } = tensors.get("steps");
  const steps = new Map(directions.map((name, i) => [name, data.subarray(i * latent, (i + 1) * latent)]));
  return { steps, isBeforeFlow: !!tensors.get("in_z")?.data[0] };
}

/**
 * Return u moved in several ways, each a list of [name, by], where `by` counts standard deviations of the
 * data. The decoder must be local.
 */
export async function movedLatents({ steps, isBeforeFlow }, decoder, u, moves) {
  const offsets = moves.map((each) => offsetOf(steps, each, u.length));
  const isMoved = offsets.map((offset) => offset.some((value) => value !== 0));
  if (!isMoved.includes(true)) return moves.map(() => u);
  const [start] = isBeforeFlow ? await decoder.fromPrior([u]) : [u];
  const ends = offsets.filter((_, i) => isMoved[i]).map((offset) => start.map((value, d) => Math.fround(value + offset[d])));
  const moved = (isBeforeFlow ? await decoder.toPrior(ends) : ends).values();
  return isMoved.map((each) => (each ? moved.next().value : u));
}

/** Return the sum of moves along directions, in their order. */
function offsetOf(steps, moves, latent) {
  const total = new Array(latent).fill(0);
  for (const [name, by] of moves) steps.get(name).forEach((value, d) => (total[d] += by * value));
  return total;
}
