// The history of results, newest first, which the browser stores. Entries do not change, except that
// they can be pinned.
//
// An entry is {id, at, part, model, caption, address, face, pinned}. `at` is the time in milliseconds
// since 1970, and `face` is a small PNG as a data: address.

const KEY = "zserve.history";
const MAX_UNPINNED = 60;
const SETTLED_MS = 700;

/** Load the history from the browser's storage. */
export function openHistory() {
  const listeners = new Set();
  let entries = load();
  let timer = null;

  function load() {
    try {
      return JSON.parse(localStorage.getItem(KEY)) ?? [];
    } catch {
      return [];
    }
  }

  /** Store new entries: all pinned ones, and the newest of the others. */
  function save(changed) {
    let room = MAX_UNPINNED;
    entries = changed.filter((entry) => entry.pinned || room-- > 0);
    try {
      localStorage.setItem(KEY, JSON.stringify(entries));
    } catch {
      // Without storage, the history is lost when the page is closed.
    }
    listeners.forEach((listener) => listener(entries));
  }

  return {
    entries: () => entries,
    subscribe: (listener) => listeners.add(listener),

    /** Add the entry that `make` returns, after a pause without newer results: moving a slider adds one entry. */
    remember(make) {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const entry = make();
        const duplicate = entries.find(({ address }) => address === entry.address);
        if (duplicate && entries[0] === duplicate) return;
        const others = entries.filter((other) => other !== duplicate);
        save([{ id: crypto.getRandomValues(new Uint32Array(1))[0], at: Date.now(), pinned: duplicate?.pinned ?? false, ...entry }, ...others]);
      }, SETTLED_MS);
    },
    pin: (id, pinned) => save(entries.map((entry) => (entry.id === id ? { ...entry, pinned } : entry))),
    clear: () => save(entries.filter((entry) => entry.pinned)),
  };
}

/** Combine at most nine images or canvases into one small PNG, as a data: address. */
export function faceOf(pictures) {
  const shown = pictures.slice(0, pictures.length >= 9 ? 9 : pictures.length >= 4 ? 4 : 1);
  const across = Math.sqrt(shown.length);
  const width = shown[0]?.naturalWidth ?? shown[0]?.width ?? 1;
  const height = shown[0]?.naturalHeight ?? shown[0]?.height ?? 1;
  const canvas = document.createElement("canvas");
  canvas.width = width * across;
  canvas.height = height * across;
  const brush = canvas.getContext("2d");
  shown.forEach((picture, i) => brush.drawImage(picture, width * (i % across), height * Math.floor(i / across)));
  return canvas.toDataURL();
}
