// Sample quality: how good the images are that a version makes, measured by a judge when it was
// published. The service defines it: {dataset, recognisable, frechet_distance}, or null if it was
// not measured. Qualities of different data sets cannot be compared.

const percent = (share) => `${(100 * share).toFixed(0)} %`;

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
