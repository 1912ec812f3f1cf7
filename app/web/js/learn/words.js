// What one sees in a snapshot, in words that follow from its numbers.
import { COLLAPSED_BELOW_NATS, measuresOf } from "./snapshots.js";
import { epochText } from "./curves.js";

/** Share of the prior that lies within two standard deviations of the plane's middle. */
const PRIOR_INSIDE = 0.865;
/** Below this share of the test images within the circle, most samples come from where no image is. */
const GAPS_BELOW = 0.6;
/** Nats of reconstruction error by which images look blurred beside those of beta 1. */
const BLURRED_BY_NATS = 8;

const percent = (share) => `${Math.round(100 * share)} %`;
const nats = (value) => `${value.toFixed(1)} nats`;

/** Say how far the training is. */
export function progressInWords(snapshots, at) {
  const { beta, epochs, reconstruction, kl } = snapshots;
  const loss = (i) => reconstruction[i] + beta * kl[i];
  const last = epochs.length - 1;
  if (epochs[at] === 0) return "Before training, the weights are random. Every image is grey, and the encoder puts all test images on nearly the same place.";
  const done = (loss(0) - loss(at)) / (loss(0) - loss(last));
  const passes = epochs[at] === 1 ? "one pass" : epochs[at] < 1 ? `${epochText(epochs[at])} of the first pass` : `${epochText(epochs[at])} passes`;
  if (at === last) return `After ${passes} over the training images, the training is complete.`;
  return `After ${passes} over the training images, the loss (reconstruction + beta × KL) has come ${percent(Math.max(0, done))} of its way.`;
}

/**
 * Say what beta does to the trained version. `plain` is the version of the same family with beta 1,
 * or null if it has none.
 */
export function betaInWords(snapshots, plain) {
  const last = snapshots.epochs.length - 1;
  const own = measuresOf(snapshots, last);
  return [price(snapshots), gaps(own), collapse(snapshots, own), blur(snapshots, plain)].filter(Boolean).join(" ");
}

function price({ beta, kl }) {
  const kept = `in the end ${nats(kl.at(-1))} of information about the image`;
  if (beta === 0) return `KL does not count in the loss, so z keeps as much as it can: ${kept}.`;
  if (beta === 1) return `The loss is −ELBO itself, which bounds −ln p(x) from above. z keeps ${nats(kl.at(-1))} of information about the image.`;
  if (beta < 1) return `KL counts only ${beta} times in the loss, so z keeps much: ${kept}.`;
  return `KL counts ${beta} times in the loss, so z keeps only what is worth that: ${kept}.`;
}

function gaps({ inside }) {
  if (inside >= GAPS_BELOW) return "";
  return `Gaps: new images come from the circles, where the prior has ${percent(PRIOR_INSIDE)} of its mass, but only ${percent(inside)} of the test images lie there. The decoder never learnt what to draw in between, so many new images are no digits.`;
}

function collapse({ dimensions }, { collapsed }) {
  if (!collapsed) return "";
  const says = collapsed === 1 ? "says" : "say";
  return `Collapse: ${collapsed} of ${dimensions.length} dimensions ${says} hardly anything about the image, less than ${COLLAPSED_BELOW_NATS} nats each.`;
}

function blur({ ref, reconstruction }, plain) {
  if (!plain || plain.ref === ref) return "";
  const more = reconstruction.at(-1) - plain.reconstruction.at(-1);
  if (more > BLURRED_BY_NATS) return `Blur: what z leaves open, the decoder averages. Reconstructions are ${nats(more)} worse than with beta 1.`;
  if (more < 0) return `Reconstructions are ${nats(-more)} better than with beta 1.`;
  return "";
}
