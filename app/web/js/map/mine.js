// The image of the user on the map: the drawing that is kept in Draw, or a file.
import { sameBytes } from "../codec.js";
import { pngOf } from "../decoding.js";
import { button, h } from "../dom.js";
import { preparedLevels } from "../levels.js";
import { bitmapOf } from "../pictures.js";

/**
 * Create the row about the image of the user. `actions` are {remove(), centre(), through()}. Returns
 * {element, adopt(values), encode(image, model, decoder), say(text)}.
 */
export function createMine(context, actions) {
  const { store } = context;
  let dismissed = null;
  let encoded = null;

  const face = h("canvas", { class: "pixels mine-face", "aria-hidden": "true" });
  const place = h("p", { class: "note", role: "status" });
  const chooser = h("input", { type: "file", accept: "image/*", class: "off-screen", tabindex: "-1", "aria-label": "Image file", onchange: () => {
    const [file] = chooser.files;
    chooser.value = "";
    if (file) context.guard(async () => store.set({ image: await context.prepare(file) }, { push: true }));
  } });
  const choose = button("Choose a file", () => chooser.click());
  const draw = button("Draw one", () => store.go({ part: "draw" }));
  const withImage = [
    button("Centre on it", () => actions.centre()),
    button("Plane through it", () => actions.through()),
    button("Remove", () => {
      dismissed = store.valuesOf("map").image;
      actions.remove();
    }),
  ];
  const element = h("div", { class: "mine" },
    h("h3", {}, "Your image"),
    h("div", { class: "mine-row" }, face, place),
    h("div", { class: "row" }, draw, choose, ...withImage, chooser));

  /** Take over the image of Draw, unless there is one or it was removed. Returns true if the state was changed. */
  function adopt({ image }) {
    const drawn = store.valuesOf("draw").image ?? null;
    if (image || !drawn || sameBytes(drawn, dismissed)) return false;
    store.set({ image: drawn });
    return true;
  }

  /** Return {mu, logvar} of an image in PNG bytes, or null without one. */
  async function encode(image, model, decoder) {
    face.hidden = !image;
    withImage.forEach((one) => (one.hidden = !image));
    draw.hidden = !!image;
    if (!image) {
      encoded = null;
      say("Draw an image or choose a file: it appears on the map as a dot in ellipses of one and two sigma.");
      return null;
    }
    if (encoded?.ref !== model.ref || !sameBytes(encoded.image, image)) {
      const picture = await preparedLevels(model, image);
      encoded = { ref: model.ref, image, picture, ...(await decoder.encode(picture)) };
    }
    await show(encoded.picture, model);
    return encoded;
  }

  async function show(picture, model) {
    const bitmap = await bitmapOf(await pngOf(model, picture));
    Object.assign(face, { width: model.width, height: model.height });
    face.getContext("2d").drawImage(bitmap, 0, 0);
  }

  const say = (text) => (place.textContent = text);

  return { element, adopt, encode, say };
}
