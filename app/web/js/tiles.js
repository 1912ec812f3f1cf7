// Image tiles. A tile is a button with a menu that opens the image in the other parts of the page.
//
// An item describes the image:
//
//   png       base64
//   model     "name@version"
//   z         its latent, or null
//   seed      its seed, or null
//   plain     true if the seed alone determines the image, without a label or temperature
//   request   the request that makes its file, if there is one (see request.js)
import { copy, button, h, save, stayNear } from "./dom.js";
import { moveAmong } from "./focus.js";
import { dataAddress, pngBytes } from "./pictures.js";
import { fileOf } from "./saving.js";

/** Create a tile. `actions` are [text, act] pairs for extra menu entries at the top. */
export function tile(item, context, { caption = "", name, actions = [] } = {}) {
  const image = h("img", { class: "pixels", src: dataAddress(item.png), alt: "", draggable: "false" });
  const label = name ?? `Image of seed ${item.seed}`;
  const open = button(image, () => openMenu(open, item, context, actions), {
    class: "tile",
    "aria-haspopup": "menu",
    "aria-label": `${label}: show actions`,
  });
  if (item.seed !== null && item.seed !== undefined) open.dataset.seed = item.seed;
  return h("figure", { class: "tile-figure" }, open, caption !== "" && h("figcaption", {}, String(caption)));
}

/** Show another image in a tile, which keeps the focus: `item` is the object of the tile, which was changed. */
export function changeTile(figure, item) {
  figure.querySelector("img").src = dataAddress(item.png);
}

/** Return the menu entries of an image: [[text, act], ...]. */
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
      toast("z copied.");
    }],
    item.request && ["Save PNG", async () => save(await fileOf(item.request, { png: pngBytes(item.png) }), name)],
  ].filter(Boolean);
}

function openMenu(opener, item, context, actions) {
  const menu = document.getElementById("menu");
  const entries = [...actions, ...actionsOf(item, context)];
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
  stayNear(menu, opener);
  menu.firstElementChild.focus();
}

function moveFocus(event, menu) {
  if (event.key === "Tab") menu.hidePopover();
  moveAmong([...menu.children], event, { isRing: true });
}
