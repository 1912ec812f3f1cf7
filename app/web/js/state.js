// One store: which part is shown, with which model, and the values of each part. The address holds
// all of it after the #, which browsers do not send: #generate?model=mnist%402&n=16&seed=7

/**
 * `fields` maps a part's name to its fields (see codec.js). The store tells its listeners after each
 * change, whoever made it: a control, a link, or the browser's back button.
 */
export function createStore(fields, firstPart) {
  const listeners = new Set();
  const state = { part: firstPart, model: null, values: {} };
  for (const [part, of] of Object.entries(fields)) {
    state.values[part] = Object.fromEntries(Object.entries(of).map(([name, { initial }]) => [name, initial]));
  }

  function address() {
    const query = new URLSearchParams();
    if (state.model) query.set("model", state.model);
    for (const [name, { format }] of Object.entries(fields[state.part])) {
      const value = state.values[state.part][name];
      if (value !== null && value !== undefined) query.set(name, format(value));
    }
    const said = query.toString();
    return `#${state.part}${said && `?${said.replaceAll("%40", "@").replaceAll("%3A", ":").replaceAll("%2C", ",")}`}`;
  }

  /** Take over what an address says; what it leaves out becomes initial, but #draw alone is a change of part. */
  function read(hash) {
    const [part, query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
    if (!(part in fields)) return;
    state.part = part;
    const said = new URLSearchParams(query);
    if (said.has("model")) state.model = said.get("model");
    if (query === "") return;
    for (const [name, { initial, parse }] of Object.entries(fields[part])) {
      const value = said.has(name) ? parse(said.get(name)) : undefined;
      state.values[part][name] = value === undefined ? initial : value;
    }
  }

  const tell = () => listeners.forEach((listener) => listener(state));

  /** Change the part, the model or values. `push` makes a step for the back button. */
  function go({ part = state.part, model = state.model, values = {}, push = true }) {
    state.part = part;
    state.model = model;
    Object.assign(state.values[part], values);
    const next = address();
    if (next !== location.hash) history[push ? "pushState" : "replaceState"](null, "", next);
    tell();
  }

  return {
    state,
    address,
    go,
    /** Change values of the part that is shown; a slider asks for no step of its own. */
    set: (values, { push = false } = {}) => go({ values, push }),
    subscribe: (listener) => listeners.add(listener),
    start() {
      read(location.hash);
      addEventListener("popstate", () => {
        read(location.hash);
        tell();
      });
    },
  };
}
