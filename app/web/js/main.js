// The entry point of the page: connects the store, the model picker and the parts. A part is one
// tab of the page, such as Generate.
//
// To add a part, write parts/<part>.js and add it to PARTS. In index.html, add a link in <nav> and a
// <section id="part-<part>" data-part="<part>">. The module of a part exports
//
//   fields                    its values in the address: name -> field (see codec.js)
//   mount(section, context)   builds its controls once, and returns {show}
//   show(values, model)       draws the part. It is called when the part is selected and when its
//                             values or the model change. It may be async; errors are shown to the
//                             user. Controls call context.store.set({...}), and only `show` updates
//                             what is displayed. It sends requests through newestWins (api.js).
//
// While what is displayed is not what was asked for yet, the page says so. A part marks the elements
// that show an answer with the attribute `data-result`; until the promise of `show` is settled, the
// frame sets aria-busy on them, which dims their images, and after 0.4 s it says in words that it
// waits. For an answer that `show` does not await, the part does the same with context.busy.
//
// The context has
//
//   store                     the state: set({seed: 7}, {push}), go({part, model, values, push})
//   catalogue                 the models: models, reference(text), version(reference) (models.js)
//   offer(requests)           sets what the bar below the part copies and saves: a request
//                             (request.js), a list of requests, or null
//   remember(caption, faces)  adds this state to the history, with images or canvases as its thumbnail
//   history                   the entries of the history (history.js)
//   prepare(file)             prepares an image file for the model, and returns PNG bytes
//   receive(file)             opens an image file: restores its settings if the service made it,
//                             otherwise shows it in Draw
//   busy(elements, work)      runs an async function, and marks elements as out of date until it ends
//                             (busy.js): busy(grid, async () => ...); returns its result, or throws
//   guard(work)               runs an async function and shows the error that it throws
//   toast(text)               shows a short message for a moment
import { ask } from "./api.js";
import { busy } from "./busy.js";
import { copy, fill, h, save } from "./dom.js";
import { explainTerms } from "./explain.js";
import { faceOf, openHistory } from "./history.js";
import { numbersOf, openCatalogue } from "./models.js";
import { hideProblem, showProblem, toast } from "./notices.js";
import * as compare from "./parts/compare.js";
import * as draw from "./parts/draw.js";
import * as generate from "./parts/generate.js";
import * as historyPart from "./parts/history.js";
import * as interpolate from "./parts/interpolate.js";
import * as map from "./parts/map.js";
import * as model from "./parts/model.js";
import * as traverse from "./parts/traverse.js";
import { asCurl, asPython } from "./request.js";
import { bestFirst, optionText } from "./sample_quality.js";
import { createStore } from "./state.js";
import * as uploads from "./uploads.js";

const PARTS = { generate, draw, interpolate, traverse, map, compare, history: historyPart, model };

const find = (id) => document.getElementById(id);
const store = createStore(Object.fromEntries(Object.entries(PARTS).map(([name, part]) => [name, part.fields])), "generate");
const history = openHistory();
const context = { store, history, prepare, receive, busy, guard, toast };
const mounted = {};
let offered = [];

// --- shared by all parts -----------------------------------------------------------------------

async function guard(work) {
  try {
    return await work();
  } catch (error) {
    showProblem(error);
    return undefined;
  }
}

function offer(requests) {
  offered = requests === null ? [] : [requests].flat();
  find("share").hidden = !offered.length;
  find("request").textContent = offered.map(asCurl).join("\n\n");
}

function remember(caption, faces) {
  const { part, model } = store.state;
  const address = store.address();
  history.remember(() => ({ part, model, caption, address, face: faceOf(faces) }));
}

const onCopy = (id, message, text) =>
  find(id).addEventListener("click", () => guard(async () => {
    await copy(text());
    toast(message);
  }));

onCopy("copy-link", "Link copied.", () => location.href);
onCopy("copy-curl", "curl command copied.", () => offered.map(asCurl).join("\n"));
onCopy("copy-python", "Python code copied.", () => offered.map(asPython).join("\n"));
find("save-file").addEventListener("click", () => guard(async () => {
  for (const request of offered) save(await (await ask(request)).blob(), request.file);
}));

// --- dropped and pasted files ------------------------------------------------------------------

async function prepare(file) {
  return uploads.prepare(await context.catalogue.version(store.state.model), file);
}

async function receive(file) {
  const state = await uploads.stateOf(file, context.catalogue);
  if (state && store.restore(state)) toast("Settings restored from this image.");
  else store.go({ part: "draw", values: { image: await prepare(file) } });
}

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
const markDropping = (on) => document.documentElement.classList.toggle("dropping", on);
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  markDropping(true);
});
document.addEventListener("dragleave", (event) => event.relatedTarget === null && markDropping(false));
document.addEventListener("drop", (event) => {
  markDropping(false);
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
  fillWithModels(find("model"), models, model.name);
  fill(find("version"), entry.versions.map((version) => [version, versionName(entry, version)]), model.version);
  find("model").disabled = find("version").disabled = false;
  find("numbers").replaceChildren(...numbersOf(model).slice(0, 5).map(([name, value, how]) => h("span", { title: how }, `${name} ${value}`)));
}

/** Fill a <select> with a group of models for each data set, the best samples first. */
function fillWithModels(select, models, chosen) {
  const datasets = [...new Set(models.map(({ dataset }) => dataset))];
  select.replaceChildren(...datasets.map((label) =>
    h("optgroup", { label }, bestFirst(models.filter(({ dataset }) => dataset === label)).map((one) => h("option", { value: one.name }, optionText(one))))));
  select.value = chosen;
}

function versionName({ aliases }, version) {
  const names = Object.entries(aliases).filter(([, target]) => target === version).map(([alias]) => alias);
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
  hideProblem();
  showFrame(part);
  const model = await selectedVersion();
  if (part !== store.state.part) return;
  showPicker(model);
  if (!mounted[part]) mounted[part] = PARTS[part].mount(find(`part-${part}`), contextOf(part));
  const results = [...find(`part-${part}`).querySelectorAll("[data-result]")];
  await busy(results, () => mounted[part].show(store.state.values[part], model));
}

let showing = 0;
async function update() {
  find("main").setAttribute("aria-busy", "true");
  showing += 1;
  await guard(show);
  showing -= 1;
  find("main").setAttribute("aria-busy", String(showing > 0));
}

/** Return the context of a part, in which late answers are ignored: `offer` and `remember` do nothing once another part is selected. */
function contextOf(part) {
  const ifSelected = (act) => (...parameters) => part === store.state.part && act(...parameters);
  return { ...context, offer: ifSelected(offer), remember: ifSelected(remember) };
}

/** Resolve the model of the state to a version. If it does not exist, use the default model and show the problem. */
async function selectedVersion() {
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
  if (problem) showProblem(problem);
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
