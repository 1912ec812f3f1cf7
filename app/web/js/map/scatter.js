// The points of test images over the decoded pictures, and the image of the user with its ellipse.
import { asLetters, colourOf } from "./colours.js";
import { latentOf, scatteredLatentOf } from "./encoded_images.js";
import { ellipseOf, projector } from "./planes.js";
import { fractionOf } from "./viewport.js";

/** Radius of a point in pixels of the screen: in the first view of a plane, and at most. */
const RADIUS = 3.2;
const MAX_RADIUS = 7;
const FAINT = 0.1;
const MINE = "#ffffff";

/**
 * Create the points of a plane. Returns
 *
 *   paint(brush, size, ratio, view, only)  draws all points on a canvas of [width, height] pixels, of
 *                                   which `ratio` are one pixel of the screen; if `only` is an array of
 *                                   labels, those of other classes faintly
 *   nearest(place, only)            index and place of the nearest point in the plane, and its distance
 *                                   from the plane: {i, place, distance}; null without points
 */
export function createScatter(plane, encoded, classes) {
  const project = projector(plane);
  const places = Array.from({ length: encoded.count }, (_, i) => project(scatteredLatentOf(encoded, i)));
  const letters = asLetters(classes);
  const stamps = new Map();
  const labelOf = (i) => encoded.labels?.[i] ?? null;
  const isFaint = (i, only) => only !== null && !only.includes(labelOf(i));

  /** Return a canvas with the point of a class; drawing it is faster than drawing circles. */
  function stampOf(label, radius) {
    const key = `${label} ${radius.toFixed(1)}`;
    if (!stamps.has(key)) stamps.set(key, letters && label !== null ? letterStamp(classes[label], colourOf(label), radius) : dotStamp(colourOf(label), radius));
    return stamps.get(key);
  }

  function paint(brush, [width, height], ratio, view, only) {
    brush.clearRect(0, 0, width, height);
    const radius = ratio * Math.min(MAX_RADIUS, RADIUS * Math.sqrt(plane.view.half / view.half));
    for (const faint of [true, false]) {
      brush.globalAlpha = faint ? FAINT : 1;
      for (let i = 0; i < places.length; i++) {
        if (isFaint(i, only) !== faint) continue;
        const [x, y] = fractionOf(view, places[i]);
        if (x < -0.02 || x > 1.02 || y < -0.02 || y > 1.02) continue;
        const stamp = stampOf(labelOf(i), radius);
        brush.drawImage(stamp, x * width - stamp.width / 2, y * height - stamp.height / 2);
      }
    }
    brush.globalAlpha = 1;
  }

  function nearest([s, t], only) {
    let best = null;
    let least = Infinity;
    for (let i = 0; i < places.length; i++) {
      if (isFaint(i, only)) continue;
      const [ds, dt] = [places[i][0] - s, places[i][1] - t];
      const distance = ds * ds + dt * dt;
      if (distance < least) [least, best] = [distance, i];
    }
    return best === null ? null : { i: best, place: places[best], distance: project(latentOf(encoded, best))[2] };
  }

  return { paint, nearest };
}

function stamp(size, draw) {
  const canvas = new OffscreenCanvas(size, size);
  draw(canvas.getContext("2d"), size / 2);
  return canvas;
}

const dotStamp = (colour, radius) => stamp(Math.ceil(2 * radius + 4), (brush, middle) => {
  brush.fillStyle = colour;
  brush.strokeStyle = "#000";
  brush.lineWidth = Math.max(1, 0.35 * radius);
  brush.beginPath();
  brush.arc(middle, middle, radius, 0, 2 * Math.PI);
  brush.fill();
  brush.stroke();
});

const letterStamp = (text, colour, radius) => stamp(Math.ceil(6 * radius), (brush, middle) => {
  brush.font = `700 ${Math.round(3.4 * radius)}px system-ui, sans-serif`;
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  brush.lineJoin = "round";
  brush.lineWidth = Math.max(2, radius);
  brush.strokeText(text, middle, middle);
  brush.fillStyle = colour;
  brush.fillText(text, middle, middle);
});

/** Draw the image of the user: a dot at its mu, and ellipses of one and two sigma. */
export function paintMine(brush, [width, height], ratio, view, { place, covariance }) {
  const { radii, angle } = ellipseOf(covariance);
  const [x, y] = fractionOf(view, place);
  const scale = width / (2 * view.half);
  for (const [color, thick] of [["#000", 5], [MINE, 2.5]]) {
    brush.strokeStyle = color;
    brush.lineWidth = thick * ratio;
    for (const sigmas of [1, 2]) {
      brush.setLineDash(sigmas === 1 ? [] : [6 * ratio, 5 * ratio]);
      brush.beginPath();
      brush.ellipse(x * width, y * height, Math.max(0.5, sigmas * radii[0] * scale), Math.max(0.5, sigmas * radii[1] * scale), -angle, 0, 2 * Math.PI);
      brush.stroke();
    }
    brush.setLineDash([]);
    brush.beginPath();
    brush.arc(x * width, y * height, (thick === 5 ? 7.5 : 6) * ratio, 0, 2 * Math.PI);
    brush.fillStyle = color;
    brush.fill();
  }
}
