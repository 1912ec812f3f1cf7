// The flow of an exact network: both directions, and the image of a Gaussian. Latents are Float32Arrays of
// (rows, latent).
import { BATCH, prepare } from "./executor.js";
import { log } from "./rounding.js";
import { factorTable, sigmaOf } from "./tables.js";

/** Prepare the couplings of a network. Returns {forward(z), inverse(u), gaussianForward(mu, logvar)}. */
export function prepareFlow(arena, couplings, latent) {
  const dimensions = Array.from({ length: latent }, (_, d) => d);
  const factor = factorTable();
  const steps = couplings.map(({ kept, net }) => {
    const keptDimensions = dimensions.filter((d) => d % 2 === kept);
    return {
      kept: keptDimensions,
      changed: dimensions.filter((d) => d % 2 !== kept),
      net: prepare(arena, net, [keptDimensions.length]),
    };
  });
  const back = steps.toReversed();

  /** Apply a coupling to rows of latents in place; change(value, raw, shift) is the new value. */
  function apply({ kept, changed, net }, values, first, rows, change) {
    const { input, output } = net;
    const { floats } = arena;
    for (let row = 0; row < rows; row++) {
      const [from, to] = [(first + row) * latent, input.at + row * input.size];
      for (let i = 0; i < kept.length; i++) floats[to + i] = values[from + kept[i]];
    }
    net.run(rows);
    for (let row = 0; row < rows; row++) {
      const [to, from] = [(first + row) * latent, output.at + row * output.size];
      for (let i = 0; i < changed.length; i++) {
        const place = to + changed[i];
        values[place] = change(values[place], floats[from + i], floats[from + changed.length + i]);
      }
    }
  }

  /** Return a copy of the latents to which the couplings were applied in this order. */
  function map(latents, order, change) {
    const values = latents.slice();
    for (let first = 0; first * latent < values.length; first += BATCH) {
      const rows = Math.min(BATCH, values.length / latent - first);
      for (const step of order) apply(step, values, first, rows, change);
    }
    return values;
  }

  const forward = (z) => map(z, steps, (value, raw, shift) => Math.fround(value * factor(raw)) + shift);
  const inverse = (u) => map(u, back, (value, raw, shift) => Math.fround(value - shift) * factor(-raw));

  /**
   * Return mean and ln variance of u for z ~ N(mu, exp(logvar)), both (latent,), by central differences:
   * the variance of u is the sum of the squares of its changes by one sigma along each axis of z.
   */
  function gaussianForward(mu, logvar) {
    const around = new Float32Array(2 * latent * latent);
    for (let axis = 0; axis < latent; axis++) {
      const sigma = sigmaOf(logvar[axis]);
      const [plus, minus] = [axis * latent, (latent + axis) * latent];
      around.set(mu, plus);
      around.set(mu, minus);
      around[plus + axis] += sigma;
      around[minus + axis] -= sigma;
    }
    const moved = forward(around);
    const variance = new Float64Array(latent);
    for (let axis = 0; axis < latent; axis++) {
      for (let d = 0; d < latent; d++) {
        const half = Math.fround(moved[axis * latent + d] - moved[(latent + axis) * latent + d]) * 0.5;
        variance[d] += half * half;
      }
    }
    return { mu: forward(mu), logvar: Float32Array.from(variance, log) };
  }

  return { forward, inverse, gaussianForward };
}
