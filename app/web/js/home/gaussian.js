// The arithmetic of the diagram: Gaussians of single dimensions, draws from them, and their KL.

/** Return sigma of each dimension from ln sigma^2. */
export const sigmaOf = (logvar) => logvar.map((value) => Math.exp(0.5 * value));

/** Return KL(N(mu, sigma^2) || N(0, 1)) of each dimension, in nats. */
export const klOf = (mu, logvar) => mu.map((m, d) => 0.5 * (m * m + Math.exp(logvar[d]) - 1 - logvar[d]));

/** Return mu + scale * sigma * eps of each dimension, rounded to float32. */
export const roll = (mu, sigma, scale, eps) => mu.map((m, d) => Math.fround(m + scale * sigma[d] * eps[d]));

export const sum = (values) => values.reduce((total, value) => total + value, 0);

/**
 * Return the dimensions in the order of how much they say about images, the most informative first.
 *
 * `posteriors` are {mu, logvar} of several images. If mu varies by more than sigma, the dimension tells
 * the images apart: the measure is var(mu) / mean(sigma^2), the signal-to-noise ratio.
 */
export function byInformation(posteriors) {
  const [{ mu: first }] = posteriors;
  const mean = (values) => sum(values) / values.length;
  const ratio = first.map((_, d) => {
    const mus = posteriors.map(({ mu }) => mu[d]);
    const centre = mean(mus);
    return mean(mus.map((m) => (m - centre) ** 2)) / mean(posteriors.map(({ logvar }) => Math.exp(logvar[d])));
  });
  return first.map((_, d) => d).sort((a, b) => ratio[b] - ratio[a] || a - b);
}
