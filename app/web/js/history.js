// The history of results, newest first, which the browser stores. Entries do not change, except that
// they can be pinned.
//
// An entry is {id, at, part, model, caption, address, face, pinned}. `at` is the time in milliseconds
// since 1970, and `face` is a small PNG as a data: address. All tabs of the page share the history.

const KEY = "zserve.history";
const MAX_UNPINNED = 200;
/** A step of a slider is kept if it was shown for this time. */
const STEP_MS = 300;
/** Largest width and height of a face, in pixels. */
const FACE_SIDE = 96;

/** Load the history from the browser's storage. */
export function openHistory() {
  const listeners = new Set();
  let stored = null;
  let entries = [];
  /** The result that is shown and not stored yet: {make, isStep, timer}. */
  let pending = null;
  let forgotten = [];

  /** Read what this or another tab has stored. */
  function refresh() {
    const text = read();
    if (text === stored) return;
    stored = text;
    entries = parse(text);
  }

  /** Store all pinned entries, and the newest of the others. */
  function save(changed) {
    let room = MAX_UNPINNED;
    entries = changed.filter((entry) => entry.pinned || room-- > 0);
    while (!write(JSON.stringify(entries)) && entries.some(({ pinned }) => !pinned)) entries = withoutOldest(entries);
    listeners.forEach((listener) => listener(entries));
  }

  /** Store a text. Returns false if the storage is full. */
  function write(text) {
    try {
      localStorage.setItem(KEY, text);
      stored = text;
    } catch (error) {
      // Without storage, the history is lost when the page is closed.
      return error.name !== "QuotaExceededError";
    }
    return true;
  }

  function keepPending() {
    if (!pending) return;
    clearTimeout(pending.timer);
    const entry = pending.make();
    pending = null;
    refresh();
    const before = entries.find(({ address }) => address === entry.address);
    if (before && entries[0] === before) return;
    const id = crypto.getRandomValues(new Uint32Array(1))[0];
    save([{ id, at: Date.now(), pinned: before?.pinned ?? false, ...entry }, ...entries.filter((other) => other !== before)]);
  }

  function change(act) {
    keepPending();
    refresh();
    save(act(entries));
  }

  addEventListener("pagehide", keepPending);
  addEventListener("storage", ({ key }) => {
    if (key !== KEY) return;
    refresh();
    listeners.forEach((listener) => listener(entries));
  });
  refresh();

  return {
    entries() {
      keepPending();
      return entries;
    },
    subscribe: (listener) => listeners.add(listener),

    /**
     * Add the entry that `make` returns. Every result is kept, with one exception: if both this one
     * and the one before are steps of a slider, the one before is kept only if it was shown for STEP_MS.
     */
    remember(make, { isStep = false } = {}) {
      if (pending && !(pending.isStep && isStep)) keepPending();
      clearTimeout(pending?.timer);
      pending = { make, isStep, timer: setTimeout(keepPending, STEP_MS) };
    },
    pin: (id, pinned) => change((before) => before.map((entry) => (entry.id === id ? { ...entry, pinned } : entry))),

    /** Forget the entries that are not pinned. Returns how many they were. */
    clear() {
      change((before) => {
        forgotten = before.filter(({ pinned }) => !pinned);
        return before.filter(({ pinned }) => pinned);
      });
      return forgotten.length;
    },
    /** Bring back the entries that `clear` forgot last. */
    restore() {
      change((before) => {
        const addresses = new Set(before.map(({ address }) => address));
        return [...before, ...forgotten.filter(({ address }) => !addresses.has(address))].sort((a, b) => b.at - a.at);
      });
      forgotten = [];
    },
  };
}

function read() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function parse(text) {
  try {
    const entries = JSON.parse(text) ?? [];
    return entries.filter((entry) => typeof entry?.address === "string" && Number.isFinite(entry.at));
  } catch {
    return [];
  }
}

/** Return the entries without the oldest tenth of those that are not pinned. */
function withoutOldest(entries) {
  const unpinned = entries.filter(({ pinned }) => !pinned);
  const leave = new Set(unpinned.slice(-Math.ceil(unpinned.length / 10)));
  return entries.filter((entry) => !leave.has(entry));
}

/** Combine at most nine images or canvases into one small PNG, as a data: address. */
export function faceOf(pictures) {
  const shown = pictures.slice(0, pictures.length >= 9 ? 9 : pictures.length >= 4 ? 4 : 1);
  const across = Math.sqrt(shown.length);
  const sides = shown[0] ? [shown[0].naturalWidth || shown[0].width || 1, shown[0].naturalHeight || shown[0].height || 1] : [1, 1];
  const scale = Math.min(1, FACE_SIDE / (Math.max(...sides) * across));
  const [width, height] = sides.map((side) => Math.max(1, Math.floor(side * scale)));
  const canvas = document.createElement("canvas");
  canvas.width = width * across;
  canvas.height = height * across;
  const brush = canvas.getContext("2d");
  shown.forEach((picture, i) => brush.drawImage(picture, width * (i % across), height * Math.floor(i / across), width, height));
  return canvas.toDataURL();
}
