// Pointers, fingers and the wheel on the map.

/** Pixels that a pointer may move before a press becomes a drag. */
const STILL = 5;
/** Zoom of one pixel of the wheel; a trackpad's pinch comes as small steps with the Ctrl key. */
const WHEEL = { plain: 0.0016, pinch: 0.01 };
const LINE_PX = 16;

/**
 * Follow gestures on an element, in fractions of its size from its top left:
 *
 *   hover([x, y])           the mouse moved over it
 *   tap([x, y])             it was clicked or touched without moving
 *   pan([dx, dy])           it was dragged by one pointer or finger, since the last call
 *   zoom(factor, [x, y])    the wheel was turned, or two fingers moved apart, around a place
 *   leave()                 the mouse left it
 */
export function followGestures(board, { hover, tap, pan, zoom, leave }) {
  const pressed = new Map();
  let start = null;
  let isDrag = false;

  const fractionOf = ({ clientX, clientY }) => {
    const { left, top, width, height } = board.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height];
  };
  const within = ([x, y]) => [x, y].map((value) => Math.min(Math.max(value, 0), 1));
  const difference = ([ax, ay], [bx, by]) => [ax - bx, ay - by];

  /** Return the middle of the pressed fingers and their distance in pixels. */
  function pinch() {
    const [a, b] = [...pressed.values()];
    const middle = b ? [0, 1].map((k) => (a.at[k] + b.at[k]) / 2) : a.at;
    return { middle, distance: b ? Math.hypot(a.x - b.x, a.y - b.y) : 0 };
  }

  const record = (event) => pressed.set(event.pointerId, { at: fractionOf(event), x: event.clientX, y: event.clientY });

  board.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || pressed.size === 2) return;
    board.setPointerCapture(event.pointerId);
    record(event);
    isDrag = pressed.size > 1;
    start = { x: event.clientX, y: event.clientY };
  });

  board.addEventListener("pointermove", (event) => {
    if (!pressed.has(event.pointerId)) {
      if (event.pointerType === "mouse" || event.pointerType === "pen") hover(within(fractionOf(event)));
      return;
    }
    const before = pinch();
    if (!isDrag && Math.hypot(event.clientX - start.x, event.clientY - start.y) < STILL) return;
    isDrag = true;
    record(event);
    const after = pinch();
    pan(difference(after.middle, before.middle));
    if (before.distance && after.distance) zoom(after.distance / before.distance, after.middle);
  });

  const release = (event) => {
    if (!pressed.delete(event.pointerId) || pressed.size) return;
    if (!isDrag && event.type === "pointerup") tap(within(fractionOf(event)));
  };
  board.addEventListener("pointerup", release);
  board.addEventListener("pointercancel", release);
  board.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && !pressed.size && leave());
  board.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? LINE_PX : 1);
    zoom(Math.exp(-pixels * (event.ctrlKey ? WHEEL.pinch : WHEEL.plain)), within(fractionOf(event)));
  }, { passive: false });
}
