// The scenes of this browser: those that the user made, or else those that ship.
import { checked, MOST_SCENES } from "./deck.js";

const KEY = "zserve.scenes";
const FILE = "static/scenes.json";

/** Open the list. Returns {load(), save(scenes), add(scene), shipped(), reset()}; all but reset are async. */
export function openScenes() {
  let shippedScenes = null;
  /** The scenes in memory, for browsers without storage. */
  let mine = read();

  async function shipped() {
    shippedScenes ??= fetch(FILE).then((response) => (response.ok ? response.json() : Promise.reject(new Error(`The scenes that ship cannot be loaded: ${FILE} was answered with status ${response.status}.`))));
    shippedScenes.catch(() => (shippedScenes = null));
    return (await shippedScenes).scenes;
  }

  function save(scenes) {
    mine = scenes;
    try {
      localStorage.setItem(KEY, JSON.stringify(scenes));
    } catch {
      // Without storage, the scenes are lost when the page is closed.
    }
  }

  const load = async () => mine ?? shipped();

  return {
    load,
    save,
    shipped,
    async add(scene) {
      const scenes = await load();
      if (scenes.length >= MOST_SCENES) throw new Error(`A presentation has at most ${MOST_SCENES} scenes. Remove one first.`);
      save([...scenes, scene]);
    },
    reset() {
      mine = null;
      try {
        localStorage.removeItem(KEY);
      } catch {
        // Without storage, there is nothing to remove.
      }
    },
  };
}

/** Return the stored scenes, or null. What cannot be a scene is left out. */
function read() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY));
    return Array.isArray(stored) ? stored.map(checked).filter(Boolean).slice(0, MOST_SCENES) : null;
  } catch {
    return null;
  }
}
