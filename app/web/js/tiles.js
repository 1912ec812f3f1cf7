// Images as tiles: a button each, whose menu sends the image to the other parts.
//
// An item is {png, model, z, seed, plain, recipe}: base64, "name@version", latent or null, seed or
// null, whether that seed alone makes the image in any part, and the recipe of its file.
import { copy, button, h, placeNear, save } from "./dom.js";
import { dataAddress, pngBytes } from "./pictures.js";
import { ask } from "./api.js";

/** One tile; `actions` are entries of its menu besides the usual ones. */
export function tile(item, context, { caption = "", name, actions = [] } = {}) {
  const face = h("img", { class: "pixels", src: dataAddress(item.png), alt: "", draggable: "false" });
  const say = name ?? `Image of seed ${item.seed}`;
  const open = button(face, () => openMenu(open, item, context, actions), {
    class: "tile",
    "aria-haspopup": "menu",
    "aria-label": `${say}: what to do with it`,
  });
  if (item.seed !== null && item.seed !== undefined) open.dataset.seed = item.seed;
  return h("figure", { class: "tile-figure" }, open, caption !== "" && h("figcaption", {}, String(caption)));
}

/** What can be done with an image: [[text, what], ...]. */
function actionsOf(item, { store, toast }) {
  const end = item.plain ? { seed: item.seed } : { png: pngBytes(item.png) };
  const go = (part, values) => () => store.go({ part, model: item.model, values });
  const name = `${item.model.replace("@", "-")}${(item.seed ?? null) === null ? "" : `-seed-${item.seed}`}.png`;
  return [
    ["Reconstruct", go("draw", { image: pngBytes(item.png) })],
    ["Interpolate from here", go("interpolate", { a: end })],
    ["Interpolate to here", go("interpolate", { b: end })],
    item.z && ["Traverse from here", go("traverse", { z: item.z })],
    item.z && ["Map around here", go("map", { plane: "dimensions", z: item.z, seed: null, at: null })],
    item.z && ["Copy z", async () => {
      await copy(JSON.stringify(item.z));
      toast("z is copied.");
    }],
    item.recipe && ["Save PNG", async () => save(await (await ask(item.recipe)).blob(), name)],
  ].filter(Boolean);
}

function openMenu(opener, item, context, more) {
  const menu = document.getElementById("menu");
  const entries = [...more, ...actionsOf(item, context)];
  menu.replaceChildren(
    ...entries.map(([text, act]) =>
      button(text, () => {
        menu.hidePopover();
        context.guard(async () => act());
      }, { role: "menuitem", tabindex: "-1" }),
    ),
  );
  menu.onkeydown = (event) => moveFocus(event, menu);
  menu.ontoggle = (event) => {
    if (event.newState === "closed" && menu.contains(document.activeElement)) opener.focus();
  };
  menu.showPopover();
  placeNear(menu, opener.getBoundingClientRect());
  menu.firstElementChild.focus();
}

function moveFocus(event, menu) {
  const entries = [...menu.children];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Tab") menu.hidePopover();
  if (!step) return;
  event.preventDefault();
  const next = entries.indexOf(document.activeElement) + step;
  entries[(next + entries.length) % entries.length].focus();
}
