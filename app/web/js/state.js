// The state of the page: the selected part, the model, and the values of each part. The address
// holds it after the #, which browsers do not send to the service:
// #generate?model=mnist%402&n=16&seed=7
import { replaced, short } from "./codec.js";

/**
 * Create the store. `load(part)` loads the module of a part, whose fields (see codec.js) are needed
 * to read and write addresses; `names` are the parts that exist. `track(promise)` is called with what
 * the page waits for when a part is loaded.
 *
 * Listeners are called after each change, whether it comes from a control, a link or the browser's
 * back button.
 */
export function createStore(names, load, firstPart, track = () => {}) {
  const listeners = new Set();
  const fields = {};
  /** The address and the state to return to while the store is covered (see `cover`), else null. */
  let covered = null;
  const state = { part: firstPart, model: null, values: Object.fromEntries(names.map((name) => [name, {}])), isLive: false, changes: [] };
  let newest = 0;

  /** Make sure that the fields of a part are there, and then act, unless a newer change came. Returns a promise only if a part must be loaded. */
  function withFieldsOf(part, act) {
    const mine = (newest += 1);
    if (fields[part]) return act();
    const work = prepare(part).then(() => (mine === newest ? act() : undefined));
    track(work);
    return work;
  }

  async function prepare(part) {
    const module = await load(part);
    if (fields[part]) return;
    fields[part] = module.fields;
    state.values[part] = initialValues(module.fields);
  }

  function address() {
    if (covered) return covered.address;
    const query = new URLSearchParams();
    if (state.model) query.set("model", state.model);
    for (const [name, { format }] of Object.entries(fields[state.part])) {
      const value = state.values[state.part][name];
      if (value !== null && value !== undefined) query.set(name, format(value));
    }
    const search = query.toString().replaceAll("%40", "@").replaceAll("%3A", ":").replaceAll("%2C", ",");
    return `#${state.part}${search && `?${search}`}`;
  }

  /**
   * Set the state from an address. Fields that it leaves out get their initial value; `#draw` alone
   * only selects the part. What cannot be shown is replaced, and `state.changes` says so.
   */
  function read(hash) {
    const [part, query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
    const exists = names.includes(part);
    return withFieldsOf(exists ? part : state.part, () => {
      state.isLive = false;
      if (exists) readPart(part, query);
      else if (part) state.changes.push(`This page has no part named ${short(part)}. ${state.part[0].toUpperCase()}${state.part.slice(1)} is shown instead.`);
    });
  }

  function readPart(part, query) {
    state.part = part;
    const params = new URLSearchParams(query);
    if (params.has("model")) state.model = params.get("model");
    if (query === "") return;
    for (const name of new Set(params.keys())) {
      if (name !== "model" && !Object.hasOwn(fields[part], name)) state.changes.push(`${short(name)}=${short(params.get(name))} was ignored: this part has no setting of that name.`);
    }
    const impossible = [];
    for (const [name, field] of Object.entries(fields[part])) {
      const value = params.has(name) ? field.parse(params.get(name)) : undefined;
      state.values[part][name] = value === undefined ? field.initial : value;
      if (params.has(name) && value === undefined) impossible.push(name);
    }
    for (const name of impossible) state.changes.push(replaced(name, params.get(name), fields[part][name], state.values[part]));
  }

  /**
   * Change the part, the model and values to those of a file, which may hold anything. What cannot be shown
   * is replaced, and `state.changes` says so. Returns false, and changes nothing, if there is no such part.
   */
  async function restore({ part, model, values }) {
    if (!names.includes(part)) return false;
    await prepare(part);
    const next = { ...state.values[part] };
    const impossible = [];
    for (const [name, field] of Object.entries(fields[part])) {
      if (!Object.hasOwn(values, name)) continue;
      const isMissing = values[name] === null || values[name] === undefined;
      const value = isMissing ? undefined : possible(field, values[name]);
      next[name] = value ?? field.initial;
      if (!isMissing && value === undefined) impossible.push(name);
    }
    for (const name of impossible) state.changes.push(replaced(name, values[name], fields[part][name], next));
    go({ part, model, values: next });
    return true;
  }

  /** Return the part that an address names, or null if the page has no such part. */
  function partOf(hash) {
    const [part] = hash.replace(/^#/, "").split("?");
    return names.includes(part) ? part : null;
  }

  /**
   * Show what the address `hash` says, while the browser's address is `text`. Later changes are shown
   * too, but stay out of the browser's address. `kept` is the state to return to (see `snapshot`).
   */
  async function cover(hash, text, { push, kept }) {
    covered = { address: text, kept };
    returnTo(kept);
    if (text !== location.hash) history[push ? "pushState" : "replaceState"](null, "", text);
    await read(hash);
    notify();
  }

  /** Return a copy of the part, the model and all values. */
  const snapshot = () => structuredClone({ part: state.part, model: state.model, values: state.values });

  function uncover() {
    if (covered) returnTo(covered.kept);
    covered = null;
  }

  /** Return to a state; parts that were loaded after it have their initial values. */
  function returnTo({ part, model, values }) {
    Object.assign(state, { part, model });
    for (const [name, partFields] of Object.entries(fields)) state.values[name] = { ...initialValues(partFields), ...structuredClone(values[name]) };
  }

  const notify = () => listeners.forEach((listener) => listener(state));

  /**
   * Change the part, the model or values. `push` adds an entry to the browser's history, for the back
   * button. Returns a promise if the part must be loaded first.
   */
  function go({ part = state.part, model = state.model, values = {}, push = true }) {
    return withFieldsOf(part, () => {
      state.part = part;
      state.model = model;
      state.isLive = !push;
      Object.assign(state.values[part], values);
      const next = address();
      if (next !== location.hash) history[push ? "pushState" : "replaceState"](null, "", next);
      notify();
    });
  }

  /** Replace values that the model cannot have by their initial values, in the address too; `state.changes` says so. */
  function fit(model, catalogue) {
    const values = state.values[state.part];
    for (const [name, field] of Object.entries(fields[state.part])) {
      const value = values[name];
      const why = value === null ? null : field.misfit?.(value, model, catalogue, values);
      if (why) correct(state.part, { [name]: field.initial }, replaced(name, field.format(value), field, { ...values, [name]: field.initial }, why));
    }
  }

  /** Replace values that a part cannot show, in the address too, without showing the part again; `state.changes` says so. */
  function correct(part, values, sentence) {
    Object.assign(state.values[part], values);
    if (part !== state.part) return;
    state.changes.push(sentence);
    history.replaceState(null, "", address());
  }

  /** Go back to values and a model that were shown, without a request: the next one failed. */
  function takeBack({ part, model, values }) {
    state.model = model;
    Object.assign(state.values[part], values);
    if (part === state.part) history.replaceState(null, "", address());
  }

  return {
    state,
    address,
    /** Show what an address says; a covered store is uncovered first. */
    read(hash) {
      uncover();
      return read(hash);
    },
    go,
    partOf,
    snapshot,
    cover,
    /** Return to the state before `cover`, with an entry in the browser's history. */
    uncover() {
      uncover();
      go({});
    },
    isCovered: () => covered !== null,
    fit,
    correct,
    restore,
    prepare,
    takeBack,
    /** Change values of the selected part. Sliders leave `push` false, so that the back button skips their steps. */
    set: (values, { push = false } = {}) => go({ values, push }),
    /** Return the values of a part, or {} if the part was not loaded yet. */
    valuesOf: (part) => state.values[part],
    subscribe: (listener) => listeners.add(listener),
  };
}

const initialValues = (fields) => Object.fromEntries(Object.entries(fields).map(([name, { initial }]) => [name, initial]));

/** Return a value of a file as a field has it, or undefined if the field cannot have it. A number may exceed the range of its control. */
function possible({ initial, format, parse }, value) {
  if (typeof initial === "number") return Number.isFinite(value) ? value : undefined;
  try {
    return parse(format(value));
  } catch {
    return undefined;
  }
}
