// What was made, newest first, kept by this browser. Entries are never changed but for their pin.
//
// An entry is {id, at, part, model, caption, address, face, pinned}; `face` is a small data: PNG.

const KEY = "zserve.history";
const MOST = 60;
const SETTLED_MS = 700;

export function openHistory() {
  const listeners = new Set();
  let entries = load();
  let waiting = null;

  function load() {
    try {
      return JSON.parse(localStorage.getItem(KEY)) ?? [];
    } catch {
      return [];
    }
  }

  /** Pinned entries stay; of the others the newest. */
  function keep(changed) {
    let room = MOST;
    entries = changed.filter((entry) => entry.pinned || room-- > 0);
    try {
      localStorage.setItem(KEY, JSON.stringify(entries));
    } catch {
      // Without storage the history lasts as long as the page.
    }
    listeners.forEach((listener) => listener(entries));
  }

  return {
    entries: () => entries,
    subscribe: (listener) => listeners.add(listener),

    /** Remember once nothing newer comes for a moment, so that a slider leaves one entry. */
    remember(make) {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        const entry = make();
        const known = entries.find((one) => one.address === entry.address);
        if (known && entries[0] === known) return;
        const rest = entries.filter((one) => one !== known);
        keep([{ id: crypto.getRandomValues(new Uint32Array(1))[0], at: Date.now(), pinned: known?.pinned ?? false, ...entry }, ...rest]);
      }, SETTLED_MS);
    },
    pin: (id, pinned) => keep(entries.map((entry) => (entry.id === id ? { ...entry, pinned } : entry))),
    clear: () => keep(entries.filter((entry) => entry.pinned)),
  };
}

/** Images or canvases -> one small picture of at most nine of them, as a data: address. */
export function faceOf(pictures) {
  const some = pictures.slice(0, pictures.length >= 9 ? 9 : pictures.length >= 4 ? 4 : 1);
  const across = Math.sqrt(some.length);
  const width = some[0]?.naturalWidth ?? some[0]?.width ?? 1;
  const height = some[0]?.naturalHeight ?? some[0]?.height ?? 1;
  const canvas = document.createElement("canvas");
  canvas.width = width * across;
  canvas.height = height * across;
  const brush = canvas.getContext("2d");
  some.forEach((one, i) => brush.drawImage(one, width * (i % across), height * Math.floor(i / across)));
  return canvas.toDataURL();
}
