// The place of each part in the diagram: a strip below the heading of the part, which opens the diagram.
import { h } from "../dom.js";

const STAGES = ["image", "encoder", "bells", "decoder", "picture", "costs"];

/** The stages that a part shows. Parts that are missing here have no strip. */
const SHOWN = {
  draw: ["image", "encoder", "bells", "decoder", "picture"],
  generate: ["prior", "decoder", "picture"],
  interpolate: ["bells", "decoder", "picture"],
  traverse: ["bells", "decoder", "picture"],
  map: ["bells", "decoder"],
  learn: ["encoder", "decoder", "costs"],
  compare: ["decoder", "picture"],
  history: ["picture"],
  scenes: ["image", "encoder", "bells", "decoder", "picture", "costs"],
  model: ["costs"],
};

function strip(shown, open) {
  const stages = STAGES.map((stage) => (stage === "bells" && shown.includes("prior") ? "prior" : stage));
  const steps = stages.flatMap((stage, i) => {
    const isShown = shown.includes(stage);
    const step = h("span", { class: isShown ? "here" : null }, stage, isShown && h("span", { class: "off-screen" }, " (here)"));
    return i === 0 ? [step] : [" ", h("span", { class: "then", "aria-hidden": "true" }, stage === "costs" ? "·" : "›"), " ", step];
  });
  const link = h("a", { href: "#home", class: "place", onclick: (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    open();
  } }, h("span", { class: "off-screen" }, "Place in the diagram: "), ...steps);
  return link;
}

/** Add the strip to the heading of every part. `open()` opens the diagram. */
export function markPlaces(open) {
  for (const section of document.querySelectorAll("main > section[data-part]")) {
    const shown = SHOWN[section.dataset.part];
    if (shown) section.querySelector("h2").after(strip(shown, open));
  }
}
