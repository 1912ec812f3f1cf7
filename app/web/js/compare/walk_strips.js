// A walk of every version: the strips of their frames, and the position that all of them share.
import { button, h } from "../dom.js";
import { dataAddress } from "../pictures.js";

/** Time per frame while playing, in ms. */
const FRAME_MS = 140;

/**
 * Create the strips. `moved(t)` is called when the user or Play moves the position, from 0 to 1.
 * Returns {position, element, show(columns, t)}; the columns are those of inputs.js, none hides both.
 */
export function walkStrips(moved) {
  let last = 1;
  let timer = null;
  let shown = null;
  const play = button("Play", () => (timer ? stop() : start()), { "aria-pressed": "false" });
  const slider = h("input", { type: "range", min: 0, step: 1, "aria-label": "Position of the walk", oninput: () => {
    stop();
    moved(Number(slider.value) / last);
  } });
  const position = h("div", { class: "play", hidden: true }, play, slider);
  const element = h("div", { class: "walk-strips", hidden: true });

  function start() {
    let step = Number(slider.value) >= last ? -1 : 1;
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      if (!position.checkVisibility()) return stop();
      const at = Number(slider.value);
      if (at + step > last || at + step < 0) step = -step;
      moved((at + step) / last);
      return undefined;
    }, FRAME_MS);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  }

  function strip({ version, shots }) {
    const row = h("div", { class: "strip", role: "img", "aria-label": `Frames of ${version.ref}` }, shots.map(({ item }) => h("span", { class: "tile still" }, h("img", { class: "pixels", src: dataAddress(item.png), alt: "" }))));
    row.style.setProperty("--across", shots.length);
    return h("div", { class: "walk-strip" }, h("p", { class: "strip-name" }, version.ref), row);
  }

  return {
    position,
    element,
    show(columns, t) {
      position.hidden = element.hidden = !columns.length;
      if (!columns.length) return stop();
      if (columns !== shown) element.replaceChildren(...columns.map(strip));
      shown = columns;
      last = columns[0].shots.length - 1;
      const at = Math.round(t * last);
      Object.assign(slider, { max: last, value: at });
      slider.setAttribute("aria-valuetext", `frame ${at + 1} of ${last + 1}`);
      for (const row of element.querySelectorAll(".strip")) [...row.children].forEach((frame, i) => frame.classList.toggle("now", i === at));
      return undefined;
    },
  };
}
