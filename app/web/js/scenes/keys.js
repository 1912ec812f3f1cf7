// The keys of the stage. A key that the focused control uses, or that is text, is left to it.

const TEXT = "input:not([type=range], [type=checkbox], [type=radio], [type=button], [type=file]), textarea, select, [contenteditable]:not([contenteditable=false])";
const USES_ARROWS = "input, [role=radio], [role=slider], [role=application], [role=menu] *";
const USES_SPACE = "button, a, summary, input, [role=button], [role=radio], [role=application]";

/** Return true if a key belongs to a text, a list of options, a shortcut of the browser, or another handler. */
export function isTyped(event) {
  const { target, ctrlKey, metaKey, altKey, isComposing, repeat, defaultPrevented } = event;
  return ctrlKey || metaKey || altKey || isComposing || repeat || defaultPrevented || Boolean(target.closest?.(TEXT));
}

/** key -> the action of the stage */
const KEYS = new Map(Object.entries({
  ArrowRight: "next", PageDown: "next", " ": "next", ArrowLeft: "previous", PageUp: "previous", Home: "first", End: "last",
  Escape: "leave", c: "toggleControls", f: "toggleFullscreen",
}));

/** Do what a key means on the stage; `actions` has a function for each action. */
export function stageKeys(event, actions) {
  const action = KEYS.get(event.key.length === 1 ? event.key.toLowerCase() : event.key);
  if (!action) return;
  if (action === "leave") {
    if (document.querySelector(":popover-open") || event.isComposing || event.defaultPrevented) return;
  } else if (isTyped(event) || belongsToControl(event)) return;
  event.preventDefault();
  actions[action]();
}

/** Return true if the focused control uses the key. The page keys, which pointers for presentations send, are always the stage's. */
function belongsToControl({ key, target }) {
  if (key === " ") return Boolean(target.closest?.(USES_SPACE));
  return ["ArrowLeft", "ArrowRight", "Home", "End"].includes(key) && Boolean(target.closest?.(USES_ARROWS));
}
