// Messages of the frame. They lie above the page, so that nothing moves when they appear.
import { button, h } from "./dom.js";

/** Pause after which a result is announced, so that a slider announces the last one. */
const ANNOUNCE_AFTER_MS = 500;

/** What "Try again" does, while it is offered. */
let retry = null;

const find = (id) => document.getElementById(id);

/**
 * Show an error until it is closed or `hideProblem` is called. `again` is called by "Try again", which
 * is offered unless the same request is sure to fail again, and when the connection has come back.
 */
export function showProblem(error, again = null) {
  if (!(error instanceof Error)) throw error;
  const remedy = error.remedy ? h("span", {}, ` What to do: ${error.remedy}.`) : null;
  retry = again && error.isFinal !== true ? () => {
    hideProblem();
    again();
  } : null;
  const actions = [retry && button("Try again", retry, { class: "primary" }), button("Close", hideProblem)];
  find("problem").replaceChildren(h("p", {}, h("strong", {}, error.message), remedy), h("div", { class: "row" }, ...actions.filter(Boolean)));
  find("problem").hidden = false;
}

addEventListener("online", () => retry?.());

export function hideProblem() {
  retry = null;
  close("problem");
}

/** Say what was changed, one sentence each, until it is closed or `hideNotice` is called. */
export function showNotice(sentences) {
  find("notice").replaceChildren(...sentences.map((sentence) => h("p", {}, sentence)), h("div", { class: "row" }, button("Close", hideNotice)));
  find("notice").hidden = false;
}

export function hideNotice() {
  close("notice");
}

/** Show a short message for a moment. */
export function toast(text) {
  const spot = find("toast");
  spot.textContent = text;
  spot.classList.add("seen");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => spot.classList.remove("seen"), 2500);
}

/** Tell a screen reader what is shown now, after a pause without newer results. */
export function announce(text) {
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => {
    find("announcement").textContent = text;
  }, ANNOUNCE_AFTER_MS);
}

function close(id) {
  const box = find(id);
  const hadFocus = box.contains(document.activeElement);
  box.hidden = true;
  if (hadFocus) find("main").focus();
}
