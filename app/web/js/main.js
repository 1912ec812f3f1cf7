// Wiring: the store, the model picker, the parts, and what they share.
//
// To add a part: write parts/<part>.js, name it in PARTS, give index.html a link in <nav> and a
// <section id="part-<part>" data-part="<part>">. A part exports
//
//   fields                    what of it the address holds: name -> a field of codec.js
//   mount(section, context)   builds its controls once, and returns {show}
//   show(values, model)       is called whenever the part is seen and its values or the model have
//                             changed; it may be async, and what it throws is shown as a problem.
//                             A control calls context.store.set({...}) and waits for show: nothing
//                             else changes what is seen. Ask through newestWins (api.js).
//
// The context:
//
//   store                     state.js: set({seed: 7}, {push}), go({part, model, values, push})
//   catalogue                 models.js: models, reference(text), version(reference)
//   offer(recipes)            what the bar under the part copies and saves: a recipe (recipe.js), a
//                             list of them, or null
//   remember(caption, faces)  this state, with images or canvases as its face, for the history
//   history                   history.js
//   seen(file)                what the model sees of a file: PNG bytes
//   receive(file)             a file from anywhere: restored where it was made here, else to Draw
//   guard(work)               runs an async function and shows what it throws
//   toast(text)               a word in passing
import { ask } from "./api.js";
import { copy, fill, h, save } from "./dom.js";
import { explainTerms } from "./explain.js";
import { faceOf, openHistory } from "./history.js";
import { numbersOf, openCatalogue } from "./models.js";
import * as compare from "./parts/compare.js";
import * as draw from "./parts/draw.js";
import * as generate from "./parts/generate.js";
import * as historyPart from "./parts/history.js";
import * as interpolate from "./parts/interpolate.js";
import * as map from "./parts/map.js";
import * as model from "./parts/model.js";
import * as traverse from "./parts/traverse.js";
import { asCurl, asPython } from "./recipe.js";
import { createStore } from "./state.js";
import { seenBy, stateOf } from "./uploads.js";

const PARTS = { generate, draw, interpolate, traverse, map, compare, history: historyPart, model };

const find = (id) => document.getElementById(id);
const store = createStore(Object.fromEntries(Object.entries(PARTS).map(([name, part]) => [name, part.fields])), "generate");
const history = openHistory();
const context = { store, history, seen, receive, guard, toast };
const mounted = {};
let offered = [];

// --- what all parts share ----------------------------------------------------------------------

function complain(error) {
  if (!(error instanceof Error)) throw error;
  const remedy = error.remedy ? h("span", {}, ` What helps: ${error.remedy}.`) : null;
  find("problem").replaceChildren(h("p", {}, h("strong", {}, error.message), remedy));
  find("problem").hidden = false;
}

async function guard(work) {
  try {
    return await work();
  } catch (error) {
    complain(error);
    return undefined;
  }
}

function toast(text) {
  const spot = find("toast");
  spot.textContent = text;
  spot.classList.add("seen");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => spot.classList.remove("seen"), 2500);
}

function offer(recipes) {
  offered = recipes === null ? [] : [recipes].flat();
  find("share").hidden = !offered.length;
  find("request").textContent = offered.map(asCurl).join("\n\n");
}

function remember(caption, faces) {
  const { part, model } = store.state;
  const address = store.address();
  history.remember(() => ({ part, model, caption, address, face: faceOf(faces) }));
}

const copying = (id, say, text) =>
  find(id).addEventListener("click", () => guard(async () => {
    await copy(text());
    toast(say);
  }));

copying("copy-link", "The link is copied.", () => location.href);
copying("copy-curl", "The curl command is copied.", () => offered.map(asCurl).join("\n"));
copying("copy-python", "The Python code is copied.", () => offered.map(asPython).join("\n"));
find("save-file").addEventListener("click", () => guard(async () => {
  for (const recipe of offered) save(await (await ask(recipe)).blob(), recipe.file);
}));

// --- files from anywhere -----------------------------------------------------------------------

async function seen(file) {
  return seenBy(await context.catalogue.version(store.state.model), file);
}

async function receive(file) {
  const found = await stateOf(file, context.catalogue);
  if (found) toast("This image brought its settings back.");
  store.go(found ?? { part: "draw", values: { image: await seen(file) } });
}

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
const dropping = (on) => document.documentElement.classList.toggle("dropping", on);
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  dropping(true);
});
document.addEventListener("dragleave", (event) => event.relatedTarget === null && dropping(false));
document.addEventListener("drop", (event) => {
  dropping(false);
  const [file] = event.dataTransfer.files;
  if (!file) return;
  event.preventDefault();
  guard(() => receive(file));
});
document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData?.files ?? [];
  if (!file) return;
  event.preventDefault();
  guard(() => receive(file));
});

// --- the model ---------------------------------------------------------------------------------

function showPicker(model) {
  const { models } = context.catalogue;
  const entry = models.find((one) => one.name === model.name);
  fill(find("model"), models.map(({ name }) => [name, name]), model.name);
  fill(find("version"), entry.versions.map((version) => [version, versionName(entry, version)]), model.version);
  find("model").disabled = find("version").disabled = false;
  const [, ...numbers] = numbersOf(model);
  find("numbers").replaceChildren(
    h("span", {}, numbersOf(model)[0][1]),
    ...numbers.slice(0, 3).map(([name, value, how]) => h("span", { title: how }, name === "Image" || name === "Latent" ? value : `${name} ${value}`)),
  );
}

function versionName({ aliases }, version) {
  const names = Object.entries(aliases).filter(([, meant]) => meant === version).map(([alias]) => alias);
  return names.length ? `version ${version} (${names.join(", ")})` : `version ${version}`;
}

find("model").addEventListener("change", () => guard(async () => store.go({ model: context.catalogue.reference(find("model").value) })));
find("version").addEventListener("change", () => store.go({ model: `${find("model").value}@${find("version").value}` }));

// --- the parts ---------------------------------------------------------------------------------

function showFrame(part) {
  for (const link of document.querySelectorAll("nav.parts a")) {
    if (link.dataset.part === part) {
      link.setAttribute("aria-current", "page");
      link.parentElement.scrollTo({ left: link.offsetLeft - 40 });
    } else link.removeAttribute("aria-current");
  }
  for (const section of document.querySelectorAll("main > section[data-part]")) section.hidden = section.dataset.part !== part;
  document.title = part === "generate" ? "zserve" : `zserve: ${part}`;
}

async function show() {
  const { part } = store.state;
  find("problem").hidden = true;
  showFrame(part);
  const model = await pinned();
  if (part !== store.state.part) return;
  showPicker(model);
  if (!mounted[part]) mounted[part] = PARTS[part].mount(find(`part-${part}`), contextOf(part));
  await mounted[part].show(store.state.values[part], model);
}

let showing = 0;
async function update() {
  find("main").setAttribute("aria-busy", "true");
  showing += 1;
  await guard(show);
  showing -= 1;
  find("main").setAttribute("aria-busy", String(showing > 0));
}

/** An answer that comes after another part was chosen is neither offered nor remembered. */
function contextOf(part) {
  const ifSeen = (act) => (...given) => part === store.state.part && act(...given);
  return { ...context, offer: ifSeen(offer), remember: ifSeen(remember) };
}

/** The version that the state means; an unknown one becomes the standard one, and is said. */
async function pinned() {
  let problem = null;
  let reference;
  try {
    reference = context.catalogue.reference(store.state.model);
  } catch (error) {
    problem = error;
    reference = context.catalogue.reference(null);
  }
  if (reference !== store.state.model) {
    store.state.model = reference;
    window.history.replaceState(null, "", store.address());
  }
  if (problem) complain(problem);
  return context.catalogue.version(reference);
}

document.querySelector("nav.parts").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  store.go({ part: link.dataset.part });
});
find("skip").addEventListener("click", (event) => {
  event.preventDefault();
  find("main").focus();
});

explainTerms();
await guard(async () => {
  context.catalogue = await openCatalogue();
  store.start();
  store.subscribe(update);
  await update();
});
