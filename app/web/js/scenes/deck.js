// A list of scenes, and how it is written in an address. A scene is {address, caption}: an address of
// the page, such as `#generate?model=mnist@11&seed=1`, and one line of text.
//
// In an address, each scene is a line: its address without the #, a space, and its caption.

/** Most scenes in a list, and most characters of an address and of a caption. */
export const MOST_SCENES = 60;
const MOST_IN_ADDRESS = 20_000;
export const MOST_IN_CAPTION = 400;

/** The text that stands for the scenes that ship. */
const SHIPPED = "shipped";

/** Create the field for a list of scenes, or for "shipped". A list that breaks a bound is not valid. */
export function deckField() {
  const parse = (text) => {
    if (text === SHIPPED) return SHIPPED;
    const scenes = text.split("\n").map(sceneOf);
    return scenes.length <= MOST_SCENES && scenes.every(Boolean) ? scenes : undefined;
  };
  return { initial: null, instead: "The scenes of this browser are shown instead.", parse, format: textOf, accepts: "scenes, one in a line: an address of this page without the #, a space, and a caption" };
}

/** Return scenes as text. */
export function textOf(scenes) {
  return scenes === SHIPPED ? SHIPPED : scenes.map(({ address, caption }) => `${address.slice(1)} ${oneLine(caption)}`).join("\n");
}

/** Return the scene of a line, or undefined if it is none. */
function sceneOf(line) {
  const space = line.indexOf(" ");
  if (space < 0) return undefined;
  return checked({ address: `#${line.slice(0, space)}`, caption: line.slice(space + 1) });
}

/** Return a scene with its caption on one line, or undefined if it is not one; the value may be anything. */
export function checked(scene) {
  if (typeof scene?.address !== "string" || typeof scene.caption !== "string") return undefined;
  if (!/^#\w+(\?\S*)?$/.test(scene.address) || scene.address.length > MOST_IN_ADDRESS) return undefined;
  const caption = oneLine(scene.caption);
  return caption.length > MOST_IN_CAPTION ? undefined : { address: scene.address, caption };
}

const oneLine = (text) => text.replace(/\s+/g, " ").trim();

/** Return the address, such as `#generate?n=16`, in a link to this page or in an address alone; undefined if it is another text. */
export function addressIn(link) {
  const [, hash] = link.trim().split(/#(.*)/s);
  return hash && checked({ address: `#${hash}`, caption: "" })?.address;
}

/** Return the address of the presentation of scenes at a place, counted from 1; with null, of the list alone. */
export function presentationOf(scenes, at) {
  const query = new URLSearchParams();
  if (scenes) query.set("list", textOf(scenes));
  if (at !== null) query.set("at", at);
  const search = query.toString().replaceAll("%40", "@").replaceAll("%3A", ":").replaceAll("%2C", ",");
  return `#scenes${search && `?${search}`}`;
}

/** Return true if an address is that of a presentation. */
export const isPresentation = (hash) => hash.startsWith("#scenes?") && new URLSearchParams(hash.slice("#scenes?".length)).has("at");

/** Return true if two lists hold the same scenes. */
export const sameScenes = (a, b) => a.length === b.length && a.every((scene, i) => scene.address === b[i].address && scene.caption === b[i].caption);
