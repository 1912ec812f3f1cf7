// The stage: one part of the page fills the window, beside the caption of a scene in large type.
//
// The address is that of the presentation, `#scenes?list=...&at=2`. The store is covered meanwhile:
// what is changed in a scene is shown, and is gone when another scene is shown or the stage is left.
import { button, h } from "../dom.js";
import { isPresentation, presentationOf } from "./deck.js";
import { keepFitted } from "./fit.js";
import { stageKeys } from "./keys.js";

/** Time without a movement of the pointer until the buttons of the stage disappear. */
const REST_MS = 2500;

/**
 * Create the stage. Returns {start(list, at, {push})}: `list` is an array of scenes, "shipped", or null
 * for the scenes of this browser, and `at` counts from 1. `push` adds an entry to the browser's history.
 */
export function createStage({ store, scenes, guard, toast }) {
  /** The presentation in progress: {list, deck, at, kept, opener, unfit}, or null. */
  let shown = null;
  let restTimer = null;

  const main = document.getElementById("main");
  const caption = h("p", { class: "stage-caption", role: "status" });
  const count = h("p", { class: "stage-count", "aria-hidden": "true" });
  const controls = button("Controls", toggleControls, { "aria-pressed": "false", title: "Show the controls of the scene (key C)" });
  const fullscreen = button("Full screen", toggleFullscreen, { title: "Key F" });
  const bar = h("div", { class: "stage-bar", role: "group", "aria-label": "Presentation" },
    button("←", () => move(-1), { "aria-label": "Previous scene", title: "Previous scene (left arrow)" }), button("→", () => move(1), { "aria-label": "Next scene", title: "Next scene (right arrow)" }),
    controls, document.fullscreenEnabled && fullscreen, button("Leave", leave, { title: "Key Escape" }));
  const element = h("aside", { class: "presentation", "aria-label": "Presentation", hidden: true }, h("div", { class: "stage-text" }, caption, count), bar);
  main.after(element);

  const listOf = async (list) => (list === null ? scenes.load() : list === "shipped" ? scenes.shipped() : list);

  /** Show a scene of a list. */
  async function start(list, at, { push = true } = {}) {
    const deck = await listOf(list);
    if (!deck.length) throw new Error("There are no scenes to present. Add one, or take the scenes that ship.");
    if (at > deck.length) toast(`There is no scene ${at}. This is the last one.`);
    shown ??= { opener: document.activeElement, kept: store.snapshot(), part: null, unfit: null };
    Object.assign(shown, { list, deck, at: Math.min(at, deck.length) });
    await show(push);
  }

  async function show(push) {
    const { list, deck, at, kept } = shown;
    const scene = deck[at - 1];
    const part = store.partOf(scene.address);
    const canShow = part !== null && part !== "scenes";
    document.body.classList.add("staged");
    document.body.classList.toggle("staged-nothing", !canShow);
    element.hidden = false;
    caption.textContent = canShow ? scene.caption : `This scene cannot be shown: the page has no part for the address ${scene.address.slice(0, 60)}`;
    count.textContent = `${at} / ${deck.length}`;
    main.focus();
    wake();
    await store.cover(canShow ? scene.address : "#", presentationOf(list, at), { push, kept });
  }

  /** Follow the part that is shown, which an action of a scene can change. */
  function follow(part) {
    document.title = `zserve: scene ${shown.at} of ${shown.deck.length}`;
    if (part === shown.part) return;
    shown.unfit?.();
    Object.assign(shown, { part, unfit: keepFitted(document.getElementById(`part-${part}`), main) });
  }

  function move(step) {
    const at = shown.at + step;
    if (at < 1 || at > shown.deck.length) return toast(step > 0 ? "This is the last scene." : "This is the first scene.");
    shown.at = at;
    return guard(() => show(true));
  }

  /** Leave the stage for what was shown before. */
  function leave() {
    const { opener } = shown;
    close();
    store.uncover();
    const isVisible = opener?.isConnected && opener !== document.body && opener.checkVisibility();
    (isVisible ? opener : main).focus();
  }

  function close() {
    if (document.fullscreenElement) document.exitFullscreen();
    shown.unfit?.();
    shown = null;
    element.hidden = true;
    document.body.classList.remove("staged", "staged-nothing", "with-controls");
    controls.setAttribute("aria-pressed", "false");
  }

  function toggleControls() {
    const on = document.body.classList.toggle("with-controls");
    controls.setAttribute("aria-pressed", String(on));
  }

  function toggleFullscreen() {
    if (!document.fullscreenEnabled) return toast("The browser does not allow full screen.");
    if (document.fullscreenElement) return document.exitFullscreen();
    return document.documentElement.requestFullscreen().catch(() => toast("The browser did not allow full screen."));
  }

  function wake() {
    element.classList.add("awake");
    clearTimeout(restTimer);
    restTimer = setTimeout(() => element.classList.remove("awake"), REST_MS);
  }

  document.addEventListener("pointermove", () => shown && wake());
  document.addEventListener("keydown", (event) => {
    if (!shown) return;
    stageKeys(event, { next: () => move(1), previous: () => move(-1), first: () => move(1 - shown.at), last: () => move(shown.deck.length - shown.at), leave, toggleControls, toggleFullscreen });
  });
  store.subscribe(({ part }) => shown && store.isCovered() && follow(part));
  // The back button leads to another scene, or away from the stage.
  addEventListener("popstate", () => {
    if (shown && !isPresentation(location.hash)) close();
  });

  return { start };
}
