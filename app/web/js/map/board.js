// The board: the part of a plane that is shown, as pictures and points on canvases, and marks on it.
import { button, h } from "../dom.js";
import { paintMine } from "./scatter.js";
import { fractionOf } from "./viewport.js";

/**
 * Create the board. `zoom(factor)` and `reset()` are called by its buttons. Returns
 *
 *   element, board   the board with its buttons, and the board alone
 *   show(content)    sets what is shown, and paints it with the next frame. `content` is {plane, mosaic,
 *                    scatter, mine, view, layer, only, place, near}; null for those that do not exist
 *   repaint()        paints the content again with the next frame
 */
export function createBoard({ zoom, reset }) {
  const pictures = h("canvas", { class: "pixels board-pictures", "aria-hidden": "true" });
  const points = h("canvas", { class: "board-points", "aria-hidden": "true" });
  const corners = h("div", { class: "corners", "aria-hidden": "true" });
  const cross = h("span", { class: "cross", "aria-hidden": "true" });
  const ring = h("span", { class: "ring", "aria-hidden": "true" });
  const board = h("div", {
    class: "board", tabindex: "0", role: "application", "aria-roledescription": "map", "aria-label": "Map of the latent space",
    "aria-describedby": "map-help map-place",
  }, pictures, points, corners, ring, cross);
  const waiting = h("p", { class: "board-waiting" });
  const buttons = h("div", { class: "board-buttons", role: "group", "aria-label": "Zoom" },
    button("+", () => zoom(2), { "aria-label": "Zoom in" }),
    button("−", () => zoom(1 / 2), { "aria-label": "Zoom out" }),
    button("Reset", reset, { "aria-label": "Reset the view" }));
  const element = h("div", { class: "board-frame" }, board, buttons, waiting);
  let content = null;
  let frame = null;

  function show(changes) {
    if (content?.plane !== changes.plane) markCorners(changes.plane);
    content = changes;
    repaint();
  }

  function repaint() {
    frame ??= requestAnimationFrame(() => {
      frame = null;
      if (content && board.clientWidth) paint(content);
    });
  }

  function paint({ mosaic, scatter, mine, view, layer, only, place, near, plane }) {
    const ratio = devicePixelRatio;
    const size = [Math.round(board.clientWidth * ratio), Math.round(board.clientHeight * ratio)];
    for (const canvas of [pictures, points]) {
      if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    }
    const hasPoints = scatter !== null && layer !== "images";
    pictures.hidden = layer === "points" && scatter !== null;
    pictures.classList.toggle("dimmed", hasPoints);
    mosaic.paint(pictures.getContext("2d"), size, view);
    const brush = points.getContext("2d");
    if (hasPoints) scatter.paint(brush, size, ratio, view, only);
    else brush.clearRect(0, 0, ...size);
    if (mine) paintMine(brush, size, ratio, view, mine);
    move(cross, view, place);
    ring.hidden = !hasPoints || !near;
    if (!ring.hidden) move(ring, view, near.place);
    [...corners.children].forEach((mark, i) => move(mark, view, plane.marks[i].slice(1)));
    const missing = pictures.hidden ? 0 : mosaic.missing(view);
    board.dataset.missing = missing;
    waiting.hidden = !missing;
    waiting.textContent = `${missing} pictures to decode`;
  }

  function move(mark, view, place) {
    const [x, y] = fractionOf(view, place);
    mark.style.left = `${100 * x}%`;
    mark.style.top = `${100 * y}%`;
  }

  const markCorners = ({ marks }) => corners.replaceChildren(...marks.map(([name]) => h("span", {}, name)));

  new ResizeObserver(repaint).observe(board);
  return { element, board, show, repaint };
}
