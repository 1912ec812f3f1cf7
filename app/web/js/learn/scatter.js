// The test images as points in a plane of the latent space, over the circles of the prior N(0, I).
import { COLOURS, colourOf } from "../map/colours.js";


const SIDE = 420;
const MARGIN = 14;
const RADIUS = 3;
/** Fewest points of a class whose name is written in their middle. */
const NAMED_FROM = 5;

/** Draw the snapshot `at` onto a canvas whose colours are those of its style: `color` and `border-color`. */
export function drawScatter(canvas, snapshots, at) {
  const scale = Math.max(1, Math.min(2, devicePixelRatio));
  if (canvas.width !== SIDE * scale) canvas.width = canvas.height = SIDE * scale;
  const brush = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const { view } = snapshots;
  const unit = (SIDE / 2 - MARGIN) / view.half;
  const x = (value) => SIDE / 2 + clamped((value - view.x) * unit);
  const y = (value) => SIDE / 2 - clamped((value - view.y) * unit);
  brush.setTransform(scale, 0, 0, scale, 0, 0);
  brush.clearRect(0, 0, SIDE, SIDE);
  drawPrior(brush, style, x(0), y(0), unit);
  const places = snapshots.points[at];
  const { labels } = snapshots;
  brush.globalAlpha = 0.8;
  for (let i = 0; i < places.length / 2; i++) {
    brush.fillStyle = labels ? colourOf(labels[i]) : style.color;
    brush.beginPath();
    brush.arc(x(places[2 * i]), y(places[2 * i + 1]), RADIUS, 0, 2 * Math.PI);
    brush.fill();
  }
  brush.globalAlpha = 1;
  if (labels) drawNames(brush, style, snapshots, places, x, y);
  canvas.dataset.at = at;
  canvas.dataset.ref = snapshots.ref;
}

const clamped = (pixels) => Math.max(4 - SIDE / 2, Math.min(SIDE / 2 - 4, pixels));

function drawPrior(brush, style, left, top, unit) {
  brush.strokeStyle = style.color;
  brush.fillStyle = style.borderColor;
  for (const sigmas of [2, 1]) {
    brush.globalAlpha = sigmas === 2 ? 0.45 : 0.6;
    brush.beginPath();
    brush.arc(left, top, sigmas * unit, 0, 2 * Math.PI);
    brush.fill();
    brush.globalAlpha = 0.7;
    brush.setLineDash([5, 4]);
    brush.stroke();
  }
  brush.setLineDash([]);
  brush.globalAlpha = 1;
}

/** Write the name of each class in the middle of its points, which tells them apart without colours. */
function drawNames(brush, style, { classes, labels }, places, x, y) {
  brush.font = "600 15px system-ui, sans-serif";
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  brush.lineWidth = 4;
  brush.lineJoin = "round";
  brush.strokeStyle = style.backgroundColor;
  brush.fillStyle = style.color;
  classes.forEach((name, label) => {
    const own = labels.flatMap((each, i) => (each === label ? [i] : []));
    if (own.length < NAMED_FROM || classes.length > COLOURS.length) return;
    const [left, top] = [x(median(own.map((i) => places[2 * i]))), y(median(own.map((i) => places[2 * i + 1])))];
    brush.strokeText(name.slice(0, 8), left, top);
    brush.fillText(name.slice(0, 8), left, top);
  });
  brush.lineWidth = 1;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
