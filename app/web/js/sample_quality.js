// Sample quality: how good the images are that a version makes, measured by a judge when it was
// published. The service defines it: {dataset, recognisable, frechet_distance}, or null if it was
// not measured. Qualities of different data sets cannot be compared.

const percent = (share) => `${(100 * share).toFixed(0)} %`;

/** Return true if the first quality is better; false if it is not, or if they cannot be compared. */
export function isBetter(a, b) {
  return Boolean(a && b) && a.dataset === b.dataset && a.frechet_distance < b.frechet_distance;
}

/** Order models (entries of /models): the best samples first, models without a measurement last. */
export function bestFirst(models) {
  const distance = ({ sample_quality: quality }) => quality?.frechet_distance ?? Infinity;
  return models.toSorted((a, b) => distance(a) - distance(b) || 0);
}

/** Return the quality of a model for the picker, such as `samples 92 %, the best`. */
export function qualityText({ sample_quality: quality, best_samples: best }) {
  return quality ? `samples ${percent(quality.recognisable)}${best ? ", the best" : ""}` : "samples not measured";
}

/** Return the quality of a version in a few words. */
export function inWords(quality) {
  return quality ? `${percent(quality.recognisable)} as recognisable as real images` : "not measured";
}

/** Return a sentence that says which of two versions ({ref, dataset, sample_quality}) makes the better samples, or why they are not ranked. */
export function verdict(a, b) {
  if (a.dataset !== b.dataset) return `Not ranked: ${a.ref} was trained on ${a.dataset}, ${b.ref} on ${b.dataset}, and measurements of different data sets cannot be compared.`;
  const unmeasured = [a, b].filter((version) => !version.sample_quality);
  if (unmeasured.length) return `Not ranked: the samples of ${unmeasured.map(({ ref }) => ref).join(" and ")} were not measured.`;
  if (a.sample_quality.frechet_distance === b.sample_quality.frechet_distance) return `${a.ref} and ${b.ref} make equally good samples.`;
  const [better, worse] = isBetter(a.sample_quality, b.sample_quality) ? [a, b] : [b, a];
  const [more, less] = [better.sample_quality, worse.sample_quality];
  return `${better.ref} makes the better samples: their Frechet distance from real images is ${more.frechet_distance.toFixed(2)}, against ${less.frechet_distance.toFixed(2)} of ${worse.ref}.`;
}
