// The two ends of a walk: seeds, files, or the image from Draw.
import { button, field, h } from "../dom.js";

/** Create the controls of both ends. `changed({a})` is called with what changed. Returns {element, show(values)}. */
export function walkEnds({ store, guard, prepare }, randomSeed, changed) {
  const ends = { a: end("a"), b: end("b") };

  function end(name) {
    const title = name.toUpperCase();
    const seed = h("input", { type: "number", min: 0, max: 2 ** 32 - 1, step: 1, inputmode: "numeric", placeholder: "an image", onchange: () => {
      if (seed.value !== "" && seed.reportValidity()) changed({ [name]: { seed: Number(seed.value) } });
    } });
    const chooser = h("input", { type: "file", accept: "image/*", class: "off-screen", tabindex: "-1", "aria-label": `Image file for ${title}`, onchange: () => {
      const [file] = chooser.files;
      chooser.value = "";
      if (file) guard(async () => changed({ [name]: { png: await prepare(file) } }));
    } });
    const fromDraw = button("From Draw", () => changed({ [name]: { png: store.state.values.draw.image } }), { "aria-label": `Use the image from Draw as ${title}` });
    const element = h("div", { class: "walk-end row" }, field(`${title}: seed`, seed), button("New seed", () => changed({ [name]: { seed: randomSeed() } }), { "aria-label": `New seed for ${title}` }),
      button("File", () => chooser.click(), { "aria-label": `Choose a file as ${title}` }), chooser, fromDraw);
    return { element, seed, fromDraw };
  }

  return {
    element: h("div", { class: "walk-ends" }, ends.a.element, ends.b.element),
    show(values) {
      for (const [name, { seed, fromDraw }] of Object.entries(ends)) {
        seed.value = values[name].seed ?? "";
        fromDraw.disabled = !store.state.values.draw.image;
      }
    },
  };
}
