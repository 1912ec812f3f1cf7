// The image that the diagram begins with, before the user has drawn one. It is drawn here by a few
// strokes, or made by the model itself, so that no image of a data set is needed.

const SIDE = 280;

/** Strokes on a canvas of 280 x 280, by how uploads are prepared. Points are joined by smooth curves. */
const THREE = [[[92, 76], [118, 54], [150, 50], [180, 64], [188, 92], [168, 122], [134, 136], [172, 146], [196, 172], [192, 206], [162, 228], [124, 230], [92, 212]]];
const LETTER_R = [[[96, 226], [96, 140], [96, 54]], [[96, 56], [150, 54], [184, 76], [184, 112], [150, 136], [98, 138]], [[132, 138], [160, 180], [190, 226]]];

function strokesFor({ drawable, dataset }) {
  if (drawable) return THREE;
  return dataset === "glyphs" ? LETTER_R : null;
}

/** Seed of the image that a model makes itself, if there are no strokes for it. */
export const START_SEED = 8;

/** Return a canvas with a drawing for the model, or null if the model has to make the image itself. */
export function startDrawing(model) {
  const strokes = strokesFor(model);
  if (!strokes) return null;
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const brush = canvas.getContext("2d");
  brush.fillRect(0, 0, SIDE, SIDE);
  Object.assign(brush, { strokeStyle: "#fff", shadowColor: "#fff", shadowBlur: 6, lineWidth: 20, lineCap: "round", lineJoin: "round" });
  for (const points of strokes) {
    brush.beginPath();
    brush.moveTo(...points[0]);
    for (let i = 1; i < points.length - 1; i++) {
      const [x, y] = points[i];
      brush.quadraticCurveTo(x, y, (x + points[i + 1][0]) / 2, (y + points[i + 1][1]) / 2);
    }
    brush.lineTo(...points.at(-1));
    brush.stroke();
  }
  return canvas;
}
