// History: the results that this browser has stored, pinned ones first, then newest first.
import { button, h } from "../dom.js";

export const fields = {};

const results = (count) => `${count} ${count === 1 ? "result" : "results"}`;

export function mount(section, { history, store, offer, toast }) {
  const cards = h("div", { class: "cards" });
  const none = h("p", { class: "note" }, "There are no results yet. Images that you make in the other parts of this page appear here.");
  const clear = button("Delete unpinned results", forget);
  const undo = button("Undo", bringBack);
  const words = h("p", { class: "note", role: "status" });
  const undoing = h("div", { class: "row undoing" }, words, undo);
  undo.hidden = true;
  section.append(cards, none, h("div", { class: "row" }, clear), undoing);
  history.subscribe(() => {
    if (!section.hidden) render();
  });
  section.addEventListener("keydown", (event) => {
    if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || undo.hidden) return;
    event.preventDefault();
    bringBack();
  });

  function forget() {
    words.textContent = `${results(history.clear())} deleted.`;
    undo.hidden = false;
    undo.focus();
  }

  function bringBack() {
    history.restore();
    words.textContent = "The results are back.";
    undo.hidden = true;
    clear.focus();
  }

  function card(entry) {
    const pin = button(entry.pinned ? "Pinned" : "Pin", () => {
      history.pin(entry.id, !entry.pinned);
      toast(entry.pinned ? "Result unpinned." : "Result pinned.");
      section.querySelector(`[data-id="${entry.id}"] .pin`)?.focus();
    }, { class: "pin", "aria-pressed": String(entry.pinned), "aria-label": `Pin ${entry.caption}` });
    const time = new Date(entry.at);
    return h("article", { class: "card", "data-id": entry.id },
      h("a", { href: entry.address }, h("img", { class: "pixels", src: entry.face, alt: "" }), h("span", {}, entry.caption)),
      h("p", { class: "card-note" }, `${entry.part} · ${entry.model}`, h("time", { datetime: time.toISOString() }, time.toLocaleString([], { dateStyle: "medium", timeStyle: "short" }))),
      pin);
  }

  function render() {
    const entries = history.entries().toSorted((a, b) => b.pinned - a.pinned || b.at - a.at);
    cards.replaceChildren(...entries.map(card));
    none.hidden = entries.length > 0;
    clear.hidden = !entries.some(({ pinned }) => !pinned);
  }

  return {
    show() {
      offer(null);
      if (store.state.part === "history") render();
    },
  };
}
