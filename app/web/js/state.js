// The state of the page: the selected part, the model, and the values of each part. The address
// holds it after the #, which browsers do not send to the service:
// #generate?model=mnist%402&n=16&seed=7

/**
 * Create the store. `fields` maps the name of each part to its fields (see codec.js).
 *
 * Listeners are called after each change, whether it comes from a control, a link or the browser's
 * back button.
 */
export function createStore(fields, firstPart) {
  const listeners = new Set();
  const state = { part: firstPart, model: null, values: {} };
  for (const [part, partFields] of Object.entries(fields)) {
    state.values[part] = Object.fromEntries(Object.entries(partFields).map(([name, { initial }]) => [name, initial]));
  }

  function address() {
    const query = new URLSearchParams();
    if (state.model) query.set("model", state.model);
    for (const [name, { format }] of Object.entries(fields[state.part])) {
      const value = state.values[state.part][name];
      if (value !== null && value !== undefined) query.set(name, format(value));
    }
    const search = query.toString().replaceAll("%40", "@").replaceAll("%3A", ":").replaceAll("%2C", ",");
    return `#${state.part}${search && `?${search}`}`;
  }

  /** Set the state from an address. Fields that it leaves out get their initial value; `#draw` alone only selects the part. */
  function read(hash) {
    const [part, query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
    if (!Object.hasOwn(fields, part)) return;
    state.part = part;
    const params = new URLSearchParams(query);
    if (params.has("model")) state.model = params.get("model");
    if (query === "") return;
    for (const [name, { initial, parse }] of Object.entries(fields[part])) {
      const value = params.has(name) ? parse(params.get(name)) : undefined;
      state.values[part][name] = value === undefined ? initial : value;
    }
  }

  /**
   * Change the part, the model and values to those of a file, which may hold anything. Returns false,
   * and changes nothing, if there is no such part.
   */
  function restore({ part, model, values }) {
    if (!Object.hasOwn(fields, part)) return false;
    const named = Object.entries(fields[part]).filter(([name]) => Object.hasOwn(values, name));
    go({ part, model, values: Object.fromEntries(named.map(([name, field]) => [name, checked(field, values[name])])) });
    return true;
  }

  const notify = () => listeners.forEach((listener) => listener(state));

  /** Change the part, the model or values. `push` adds an entry to the browser's history, for the back button. */
  function go({ part = state.part, model = state.model, values = {}, push = true }) {
    state.part = part;
    state.model = model;
    Object.assign(state.values[part], values);
    const next = address();
    if (next !== location.hash) history[push ? "pushState" : "replaceState"](null, "", next);
    notify();
  }

  return {
    state,
    address,
    read,
    go,
    restore,
    /** Change values of the selected part. Sliders leave `push` false, so that the back button skips their steps. */
    set: (values, { push = false } = {}) => go({ values, push }),
    subscribe: (listener) => listeners.add(listener),
    start() {
      read(location.hash);
      addEventListener("popstate", () => {
        read(location.hash);
        notify();
      });
    },
  };
}

/** Return a value that a field can have, or else the field's initial value. A number may exceed the range of its control. */
function checked({ initial, format, parse }, value) {
  if (typeof initial === "number") return Number.isFinite(value) ? value : initial;
  if (value === null || value === undefined) return initial;
  try {
    return parse(format(value)) ?? initial;
  } catch {
    return initial;
  }
}
