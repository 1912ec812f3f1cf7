// A canvas for drawing. The brush looks like the strokes of MNIST: white on black, with soft edges.

/** Width and height of the canvas, in its own pixels. */
const SIDE = 280;
/** Width of a stroke with its soft edges: about a tenth of the canvas. */
const STROKE = 26;
const SOFTNESS = 6;

/**
 * Make a canvas element drawable. Returns
 *
 *   isEmpty()               true if nothing was drawn or loaded
 *   isDrawing()             true while the pen is down
 *   strokes()               the strokes, each an array of points [x, y] in pixels of the canvas
 *   load(bitmap, strokes)   shows a picture, or null for black, with strokes on top of it
 *   undo()                  removes the last stroke, or the picture if there is no stroke
 *   blob()                  a promise of the drawing as a PNG
 *
 * `changed(done)` is called while a stroke is drawn, with `done` true when the stroke is complete.
 */
export function drawingCanvas(element, changed) {
  element.width = element.height = SIDE;
  const brush = element.getContext("2d");
  let base = null;
  let strokes = [];
  /** The stroke in progress: its points, the pointer that draws it, and the box of the canvas. */
  let current = null;

  function paint() {
    brush.shadowBlur = 0;
    brush.fillStyle = "#000";
    brush.fillRect(0, 0, SIDE, SIDE);
    brush.imageSmoothingEnabled = false;
    if (base) brush.drawImage(base, 0, 0, SIDE, SIDE);
    Object.assign(brush, { strokeStyle: "#fff", fillStyle: "#fff", shadowColor: "#fff", shadowBlur: SOFTNESS, lineWidth: STROKE - SOFTNESS, lineCap: "round", lineJoin: "round" });
    strokes.forEach(drawStroke);
  }

  function drawStroke(points) {
    brush.beginPath();
    if (points.length === 1) {
      // A line without length paints nothing.
      brush.arc(...points[0], (STROKE - SOFTNESS) / 2, 0, 2 * Math.PI);
      brush.fill();
      return;
    }
    brush.moveTo(...points[0]);
    for (let i = 1; i < points.length - 1; i++) {
      const [x, y] = points[i];
      brush.quadraticCurveTo(x, y, (x + points[i + 1][0]) / 2, (y + points[i + 1][1]) / 2);
    }
    brush.lineTo(...points.at(-1));
    brush.stroke();
  }

  // The box is measured when the pen goes down: if the page moves during the stroke, the stroke
  // keeps the shape that the hand gave it. Tenths of a pixel are kept exactly when strokes are stored.
  const place = ({ clientX, clientY }, box) =>
    [(clientX - box.left) / box.width, (clientY - box.top) / box.height].map((fraction) => Math.round(fraction * SIDE * 10) / 10);

  /** Add a point to the stroke, unless the pen is still. */
  function add([x, y]) {
    const [lastX, lastY] = current.points.at(-1);
    if (x !== lastX || y !== lastY) current.points.push([x, y]);
  }

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || current) return;
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
    const box = element.getBoundingClientRect();
    current = { points: [place(event, box)], pointer: event.pointerId, box };
    strokes.push(current.points);
    paint();
    changed(false);
  });
  element.addEventListener("pointermove", (event) => {
    if (event.pointerId !== current?.pointer) return;
    const before = current.points.length;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) add(place(move, current.box));
    if (current.points.length === before) return;
    paint();
    changed(false);
  });
  const end = (event) => {
    if (event.pointerId !== current?.pointer) return;
    current = null;
    changed(true);
  };
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
  paint();

  return {
    isEmpty: () => !strokes.length && !base,
    isDrawing: () => current !== null,
    strokes: () => strokes,
    blob: () => new Promise((resolve) => element.toBlob(resolve)),
    load(bitmap, drawn = []) {
      base = bitmap;
      strokes = [...drawn];
      current = null;
      paint();
    },
    undo() {
      if (strokes.length) strokes.pop();
      else base = null;
      current = null;
      paint();
    },
  };
}
