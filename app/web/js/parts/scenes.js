// Scenes: the list that a presentation shows, to be changed, ordered and shared as one link.
import { natural } from "../codec.js";
import { button, copy, field, h } from "../dom.js";
import { addressIn, deckField, MOST_IN_CAPTION, MOST_SCENES, presentationOf, sameScenes } from "../scenes/deck.js";

/**
 * `list` is a list of scenes, "shipped", or null for the scenes of this browser. With `at`, the address
 * is that of the stage, which shows the scene at this place, counted from 1.
 */
export const fields = { list: deckField(), at: { ...natural(null, 1, MOST_SCENES), instead: "The list of the scenes is shown instead of the stage." } };

export function mount(section, context) {
  const { store, guard, toast } = context;
  const { scenes, start } = context.presentation;
  /** The scenes shown, and true if they are those of this browser. */
  let current = { deck: [], isMine: true };
  /** Earlier lists of this browser, the last one at the end. */
  const undoable = [];

  const present = button("Present", () => guard(() => start(store.state.values.scenes.list, 1)), { class: "primary", title: "Key P" });
  const copyLink = button("Copy the link", () => guard(async () => {
    await copy(`${location.href.split("#")[0]}${presentationOf(current.deck, 1)}`);
    toast("Link copied. It holds all scenes.");
  }));
  const undo = button("Undo", () => guard(async () => {
    scenes.save(undoable.pop());
    await render();
    status.textContent = "Undone.";
  }));
  const reset = button("Take the scenes that ship", () => guard(async () => change(await scenes.shipped(), "These are the scenes that ship.")));
  const keep = button("Keep as my scenes", () => guard(async () => {
    undoable.push(await scenes.load());
    scenes.save(current.deck);
    store.set({ list: null }, { push: true });
    toast("Kept. Your earlier scenes come back with Undo.");
  }));
  const foreign = h("p", { class: "note foreign" }, "These scenes came with the address. Your own scenes are unchanged. ", keep, " ", button("Show my own", () => store.set({ list: null }, { push: true })));
  const list = h("ol", { class: "scenes" });
  const none = h("p", { class: "note" }, "There are no scenes. Add one from any part of the page with “Add to scenes”, or paste a link.");
  const link = h("input", { type: "text", placeholder: "a link to this page", onkeydown: (event) => event.key === "Enter" && add() });
  const status = h("p", { class: "off-screen", role: "status" });
  section.append(h("div", { class: "controls" }, present, copyLink, undo, reset), foreign, list, none,
    h("div", { class: "controls add-scene" }, field("Add a link", link), button("Add", add)),
    h("p", { class: "note" }, "Keys on the stage: the arrows or Page Up and Page Down show another scene, C shows the controls of a scene, F fills the screen, and Escape leaves."), status);

  /** Show another list, and keep it: in this browser, or in the address if the list came with it. */
  async function change(deck, words) {
    if (current.isMine) {
      undoable.push(current.deck);
      scenes.save(deck);
      await render();
    } else store.set({ list: deck }, { push: true });
    status.textContent = words;
  }

  function add() {
    const address = addressIn(link.value);
    if (!address || !canShow(address)) return toast("This is not a link to a part of this page. Copy one with “Copy link”.");
    if (current.deck.length >= MOST_SCENES) return toast(`A presentation has at most ${MOST_SCENES} scenes.`);
    link.value = "";
    return guard(() => change([...current.deck, { address, caption: "" }], `Scene ${current.deck.length + 1} added.`));
  }

  const canShow = (address) => ![null, "scenes"].includes(store.partOf(address));

  function item(scene, i) {
    const place = `scene ${i + 1}`;
    const caption = h("textarea", { rows: 2, maxlength: MOST_IN_CAPTION, "aria-label": `Caption of ${place}`, placeholder: "What should the audience see here?", onchange: () => {
      const changed = { ...scene, caption: caption.value.replace(/\s+/g, " ").trim() };
      guard(() => change(current.deck.with(i, changed), `Caption of ${place} changed.`));
    } });
    caption.value = scene.caption;
    const moved = (by) => () => guard(async () => {
      await change(current.deck.with(i, current.deck[i + by]).with(i + by, scene), `Moved to place ${i + by + 1} of ${current.deck.length}.`);
      focusOn(i + by, by < 0 ? "up" : "down");
    });
    const remove = () => guard(async () => {
      await change(current.deck.toSpliced(i, 1), `Scene ${i + 1} removed.`);
      focusOn(Math.min(i, current.deck.length - 1), "remove");
    });
    return h("li", {},
      h("div", { class: "scene-text" }, canShow(scene.address) ? h("a", { href: scene.address }, nameOf(scene.address)) : h("strong", { class: "unknown" }, "This page has no such part"), caption),
      h("div", { class: "scene-actions" },
        button("Show", () => guard(() => start(store.state.values.scenes.list, i + 1)), { "aria-label": `Present from ${place}` }),
        button("↑", moved(-1), { class: "up", disabled: i === 0, "aria-label": `Move ${place} up` }),
        button("↓", moved(1), { class: "down", disabled: i === current.deck.length - 1, "aria-label": `Move ${place} down` }),
        button("×", remove, { class: "remove", "aria-label": `Remove ${place}` })));
  }

  /** Focus a button of the scene at place i, or its nearest one that is enabled. */
  function focusOn(i, name) {
    const row = list.children[i];
    (row?.querySelector(`.${name}:not(:disabled)`) ?? row?.querySelector("button:not(:disabled)") ?? present).focus();
  }

  async function render() {
    const { list: listed } = store.state.values.scenes;
    const mine = await scenes.load();
    const deck = listed === null ? mine : listed === "shipped" ? await scenes.shipped() : listed;
    current = { deck, isMine: listed === null || sameScenes(deck, mine) };
    list.replaceChildren(...deck.map(item));
    none.hidden = deck.length > 0;
    foreign.hidden = current.isMine;
    present.disabled = copyLink.disabled = deck.length === 0;
    undo.hidden = !current.isMine || !undoable.length;
    reset.hidden = listed === "shipped" || sameScenes(deck, await scenes.shipped());
  }

  async function show({ list: listed, at }) {
    context.offer(null);
    if (at !== null) {
      store.state.values.scenes.at = null;
      return start(listed, at, { push: false });
    }
    return render();
  }

  return { show };
}

/** Return the part and the model of an address in words, such as `Generate, mnist@11`. */
function nameOf(address) {
  const [part, query = ""] = address.slice(1).split(/\?(.*)/s);
  const model = new URLSearchParams(query).get("model");
  return `${part[0].toUpperCase()}${part.slice(1)}${model ? `, ${model}` : ""}`;
}
