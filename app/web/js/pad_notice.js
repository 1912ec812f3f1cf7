// Errors of a live drawing. They appear beside the canvas, above what is there: nothing moves.
import { button, h } from "./dom.js";

/** Create a box for an error. Returns {element, show(error, again), hide()}; `again` is called by "Try again". */
export function noticeBeside() {
  let retry = null;
  const words = h("p", {});
  const again = button("Try again", () => {
    const act = retry;
    hide();
    act?.();
  });
  const element = h("div", { class: "pad-notice", role: "alert", hidden: true }, words, h("div", { class: "row" }, again, button("Close", hide)));

  function show(error, act = null) {
    if (!(error instanceof Error)) throw error;
    retry = act;
    again.hidden = !act || error.isFinal === true;
    words.replaceChildren(h("strong", {}, error.message), error.remedy ? ` What to do: ${error.remedy}.` : "");
    element.hidden = false;
  }

  function hide() {
    if (element.hidden) return;
    if (element.contains(document.activeElement)) document.getElementById("main").focus();
    element.hidden = true;
  }

  return { element, show, hide };
}
