// The snapshots of a training (see /models/{name}/{version}/files/snapshots.json), ready to draw.
import { get } from "../api.js";
import { fromBase64 } from "../codec.js";
import { modelGroups } from "../model_groups.js";
import { bitmapOf } from "../pictures.js";

/** Share of the points on either side that may lie outside the view; they are drawn at its edge. */
const OUTLIERS = 0.002;
/** Standard deviations of the prior that are always in view. */
const LEAST_REACH = 2.5;
/** A latent dimension with a smaller KL (nats) says next to nothing about the image. */
export const COLLAPSED_BELOW_NATS = 0.1;

/**
 * Return a function that loads the snapshots of a version, each version once: ref ->
 *
 *   ref, classes           "name@version"; names of the classes, or []
 *   epochs                 time of each snapshot
 *   reconstruction, kl     nats of each snapshot
 *   dimensions             latent dimensions, the most informative one first
 *   space                  name of their numbers, "z" or "u" (models.js)
 *   dimensionKl            nats of each dimension in each snapshot
 *   points                 x0, y0, x1, y1, ... of the test images in each snapshot
 *   labels                 class of each test image, or null
 *   view                   {x, y, half}: middle and half side of the square around the circles of the
 *                          prior and nearly all points of all snapshots
 *   sheet                  bitmap with a row of images for each snapshot
 *   samples, reconstructions, width, height    numbers of images in a row, and their size
 */
export function snapshotLoader(catalogue) {
  const loading = new Map();
  return (ref) => {
    if (!loading.has(ref)) {
      const snapshots = load(ref, catalogue);
      snapshots.catch(() => loading.delete(ref));
      loading.set(ref, snapshots);
    }
    return loading.get(ref);
  };
}

/** Return true if a version (see models.js) has snapshots. */
export const hasSnapshots = ({ manifest }) => Object.hasOwn(manifest.files, "snapshots.json");

/** Return the families of the service: [{name, members: [{beta, ref}, ...]}, ...], each by ascending beta. */
export function familiesOf({ models }) {
  return modelGroups(models)
    .filter(({ family }) => family)
    .map(({ family, models: members }) => ({ name: family, members: members.map(({ name, version, family: { beta } }) => ({ beta, ref: `${name}@${version}` })) }));
}

async function load(ref, catalogue) {
  const [file, version] = await Promise.all([get(`models/${ref.replace("@", "/")}/files/snapshots.json`), catalogue.version(ref)]);
  const points = placesOf(file);
  return {
    ref,
    beta: version.manifest.training.family?.beta ?? version.manifest.training.settings.objective?.beta ?? 1,
    classes: version.manifest.classes ?? [],
    epochs: file.epochs,
    reconstruction: file.reconstruction_nats,
    kl: file.kl_nats,
    dimensions: file.dimensions,
    space: version.space,
    dimensionKl: file.dimension_kl_nats,
    points,
    labels: file.labels,
    view: viewOf(points),
    sheet: await bitmapOf(fromBase64(file.images)),
    samples: file.samples,
    reconstructions: file.reconstructions,
    width: file.image.width,
    height: file.image.height,
  };
}

/** Return the coordinates of the test images in each snapshot; those of a line get y = 0. */
function placesOf({ epochs, test_images: count, dimensions, positions, position_step: step }) {
  const bytes = fromBase64(positions);
  const view = new DataView(bytes.buffer);
  const across = Math.min(2, dimensions.length);
  return epochs.map((_, snapshot) => {
    const places = new Float32Array(2 * count);
    for (let point = 0; point < count; point++) {
      for (let i = 0; i < across; i++) places[2 * point + i] = step * view.getInt16(2 * ((snapshot * count + point) * across + i), true);
    }
    return places;
  });
}

function viewOf(snapshots) {
  const [x, y] = [0, 1].map((axis) => {
    const values = snapshots.flatMap((places) => Array.from(places).filter((_, i) => i % 2 === axis)).toSorted((a, b) => a - b);
    const [low, high] = [OUTLIERS, 1 - OUTLIERS].map((share) => values[Math.round(share * (values.length - 1))]);
    return [Math.min(low, -LEAST_REACH), Math.max(high, LEAST_REACH)];
  });
  const middle = ([low, high]) => (low + high) / 2;
  return { x: middle(x), y: middle(y), half: Math.max(x[1] - x[0], y[1] - y[0]) / 2 };
}

/** Return what the numbers of one snapshot say: {sum, inside, collapsed}, nats, a share of the test images, a number of dimensions. */
export function measuresOf(snapshots, at) {
  const places = snapshots.points[at];
  let inside = 0;
  for (let i = 0; i < places.length; i += 2) inside += Math.hypot(places[i], places[i + 1]) <= 2;
  return {
    sum: snapshots.reconstruction[at] + snapshots.kl[at],
    inside: inside / (places.length / 2),
    collapsed: snapshots.dimensionKl[at].filter((nats) => nats < COLLAPSED_BELOW_NATS).length,
  };
}
