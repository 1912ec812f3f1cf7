// Presenting: the key P and the button start it, and "Add to scenes" keeps what is shown as a scene.
import { loadModule } from "../modules.js";
import { isTyped } from "./keys.js";
import { openScenes } from "./kept.js";

const loadStage = (again) => import("./stage.js" + again);

/**
 * Connect the frame with the scenes. Returns {scenes, start(list, at)}: `scenes` are those of this
 * browser (kept.js), and `start` shows a scene on the stage, which is loaded when it is first needed.
 */
export function openPresentation({ store, guard, toast }) {
  const scenes = openScenes();
  let stage = null;

  async function start(list, at, options) {
    stage ??= (await loadModule("The stage", loadStage)).createStage({ store, scenes, toast, guard });
    return stage.start(list, at, options);
  }

  /** Present the scenes of the address, or else those of this browser. */
  function startHere() {
    const { part, values } = store.state;
    return guard(() => start(part === "scenes" ? values.scenes.list ?? null : null, 1));
  }

  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "p" || isTyped(event) || store.isCovered()) return;
    event.preventDefault();
    startHere();
  });
  document.getElementById("present").addEventListener("click", startHere);
  document.getElementById("add-scene").addEventListener("click", () => guard(async () => {
    const heading = document.querySelector(`#part-${store.state.part} h2`);
    await scenes.add({ address: store.address(), caption: heading.textContent });
    toast("Added to your scenes.");
  }));

  return { scenes, start };
}
