// What was made in this browser, newest first.
import { button, h } from "../dom.js";

export const fields = {};

export function mount(section, { history, store, offer, toast }) {
  const cards = h("div", { class: "cards" });
  const none = h("p", { class: "note" }, "There is nothing yet. What you make in the other parts appears here.");
  const clear = button("Forget what is not pinned", () => history.clear());
  section.append(cards, none, h("div", { class: "row" }, clear));
  history.subscribe(render);

  function card(entry) {
    const pin = button(entry.pinned ? "Pinned" : "Pin", () => {
      history.pin(entry.id, !entry.pinned);
      toast(entry.pinned ? "It is no longer pinned." : "It is pinned.");
      section.querySelector(`[data-id="${entry.id}"] .pin`)?.focus();
    }, { class: "pin", "aria-pressed": String(entry.pinned), "aria-label": `Pin ${entry.caption}` });
    const when = new Date(entry.at);
    return h("article", { class: "card", "data-id": entry.id },
      h("a", { href: entry.address }, h("img", { class: "pixels", src: entry.face, alt: "" }), h("span", {}, entry.caption)),
      h("p", { class: "card-note" }, `${entry.part} · ${entry.model} · `, h("time", { datetime: when.toISOString() }, when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }))),
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
