// A canvas for drawing. The brush looks like the strokes of MNIST: white on black, with soft edges.

/** Width and height of the canvas, in its own pixels. */
const SIDE = 280;
/** Width of a stroke with its soft edges: about a tenth of the canvas. */
const STROKE = 26;
const SOFTNESS = 6;

/**
 * Make a canvas element drawable. Returns {isEmpty(), blob(), load(bitmap), undo()}.
 *
 * `changed(done)` is called while a stroke is drawn, with `done` true when the stroke is complete.
 * `load(null)` clears the canvas.
 */
export function drawingCanvas(element, changed) {
  element.width = element.height = SIDE;
  const brush = element.getContext("2d");
  let base = null;
  let strokes = [];
  let current = null;

  function paint() {
    brush.shadowBlur = 0;
    brush.fillStyle = "#000";
    brush.fillRect(0, 0, SIDE, SIDE);
    brush.imageSmoothingEnabled = false;
    if (base) brush.drawImage(base, 0, 0, SIDE, SIDE);
    Object.assign(brush, { strokeStyle: "#fff", shadowColor: "#fff", shadowBlur: SOFTNESS, lineWidth: STROKE - SOFTNESS, lineCap: "round", lineJoin: "round" });
    strokes.forEach(drawStroke);
  }

  function drawStroke(points) {
    brush.beginPath();
    brush.moveTo(...points[0]);
    if (points.length === 1) brush.lineTo(points[0][0] + 0.1, points[0][1]);
    for (let i = 1; i < points.length - 1; i++) {
      const [x, y] = points[i];
      brush.quadraticCurveTo(x, y, (x + points[i + 1][0]) / 2, (y + points[i + 1][1]) / 2);
    }
    if (points.length > 1) brush.lineTo(...points.at(-1));
    brush.stroke();
  }

  function place(event) {
    const box = element.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  }

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
    current = [place(event)];
    strokes.push(current);
    paint();
    changed(false);
  });
  element.addEventListener("pointermove", (event) => {
    if (!current) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    current.push(...(moves.length ? moves : [event]).map(place));
    paint();
    changed(false);
  });
  const end = () => {
    if (!current) return;
    current = null;
    changed(true);
  };
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
  paint();

  return {
    isEmpty: () => !strokes.length && !base,
    blob: () => new Promise((resolve) => element.toBlob(resolve)),
    load(bitmap) {
      base = bitmap;
      strokes = [];
      paint();
    },
    undo() {
      if (strokes.length) strokes.pop();
      else base = null;
      paint();
    },
  };
}
