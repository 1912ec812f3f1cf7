// The entry point of the page: connects the store, the model picker and the parts. A part is one
// tab of the page, such as Generate.
//
// To add a part, write parts/<part>.js and add it to PARTS, which loads it when it is first selected.
// In index.html, add a link in <nav> and a <section id="part-<part>" data-part="<part>">. The module
// of a part exports
//
//   fields                    its values in the address: name -> field (see codec.js). A value that the
//                             address or the model cannot have is replaced, and the page says so. What
//                             only `show` can know, it replaces by context.store.correct.
//   mount(section, context)   builds its controls once, and returns {show, controls}
//   show(values, model)       draws the part. It is called when the part is selected and when its
//                             values or the model change. It may be async; errors are shown to the
//                             user. Controls call context.store.set({...}), and only `show` updates
//                             what is displayed. It sends requests through newestWins or
//                             newestNext (api.js).
//   controls(values, model)   optional: sets the controls to values, without a request. After `show`
//                             failed, the frame goes back to the values that are still displayed and
//                             calls it. Without it, the elements with data-result stay dimmed.
//
// While what is displayed is not what was asked for yet, the page says so. A part marks the elements
// that show an answer with the attribute `data-result`; until the promise of `show` is settled, the
// frame sets aria-busy on them, which dims their images, and after 0.4 s it says in words that it
// waits. For an answer that `show` does not await, the part does the same with context.busy.
//
// The context has
//
//   store                     the state: set({seed: 7}, {push}), go({part, model, values, push}),
//                             valuesOf(part); state.isLive is true during the steps of a slider
//   catalogue                 the models: models, reference(text), version(reference) (models.js)
//   offer(requests)           sets what the bar below the part copies and saves: a request
//                             (request.js), a list of requests, or null
//   remember(caption, faces)  adds this state to the history, with images or canvases as its
//                             thumbnail, and tells screen readers the caption
//   history                   the entries of the history (history.js)
//   presentation              the scenes of this browser, and the stage (scenes/presentation.js)
//   prepare(file)             prepares an image file for the model, and returns PNG bytes
//   receive(file)             opens an image file: restores its settings if the service made it,
//                             otherwise shows it in Draw, or in the diagram if that is selected
//   busy(elements, work)      runs an async function, and marks elements as out of date until it ends
//                             (busy.js): busy(grid, async () => ...); returns its result, or throws
//   guard(work)               runs an async function and shows the error that it throws, with
//                             "Try again" if that may help
//   toast(text)               shows a short message for a moment
import { busy } from "./busy.js";
import { copy, save } from "./dom.js";
import { explainTerms } from "./explain.js";
import { showedFirstPictures } from "./first_pictures.js";
import { keepFocus, moveAmong } from "./focus.js";
import { faceOf, openHistory } from "./history.js";
import { markPlaces } from "./home/place.js";
import { openCatalogue } from "./models.js";
import { loadModule } from "./modules.js";
import { announce, hideNotice, hideProblem, showNotice, showProblem, toast } from "./notices.js";
import { modelPicker } from "./picker.js";
import { asCurl, asPython } from "./request.js";
import { fileOf } from "./saving.js";
import { openPresentation } from "./scenes/presentation.js";
import { createStore } from "./state.js";

const PARTS = {
  home: (again) => import("./parts/home.js" + again),
  generate: (again) => import("./parts/generate.js" + again),
  draw: (again) => import("./parts/draw.js" + again),
  interpolate: (again) => import("./parts/interpolate.js" + again),
  traverse: (again) => import("./parts/traverse.js" + again),
  map: (again) => import("./parts/map.js" + again),
  learn: (again) => import("./parts/learn.js" + again),
  compare: (again) => import("./parts/compare.js" + again),
  history: (again) => import("./parts/history.js" + again),
  model: (again) => import("./parts/model.js" + again),
  scenes: (again) => import("./parts/scenes.js" + again),
};
/** The part that is shown if the address names none. */
const FIRST = "home";

const find = (id) => document.getElementById(id);
const modules = {};
const mounted = {};
/** part -> the state that it displays: {part, model, values}, and the description of the model */
const displayed = {};
/** part -> number of calls of `show` so far */
const calls = {};
let offered = [];
let working = 0;
/** The list of models on its way: it is needed first. */
let opening = openCatalogue();

const store = createStore(Object.keys(PARTS), load, FIRST, (loading) => track(() => loading).catch(() => {}));
const history = openHistory();
const presentation = openPresentation({ store, guard, toast });
const context = { store, history, presentation, prepare, receive, busy, guard, toast };

/** Load the module of a part. */
async function load(part) {
  modules[part] ??= await loadModule(`The part "${part}" of the page`, PARTS[part]);
  return modules[part];
}

// --- shared by all parts -----------------------------------------------------------------------

async function guard(work, again = () => guard(work)) {
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") showProblem(error, again);
    return undefined;
  }
}

/** Run an async function. Until it has ended, the page is busy. */
async function track(work) {
  working += 1;
  find("main").setAttribute("aria-busy", "true");
  try {
    return await work();
  } finally {
    working -= 1;
    find("main").setAttribute("aria-busy", String(working > 0));
  }
}

function offer(requests) {
  offered = requests === null ? [] : [requests].flat();
  find("share").hidden = !offered.length;
  find("request").textContent = offered.map(asCurl).join("\n\n");
}

function remember(caption, faces) {
  if (store.isCovered()) return;
  const { part, model } = store.state;
  const address = store.address();
  history.remember(() => ({ part, model, caption, address, face: faceOf(faces) }), { isStep: store.state.isLive });
  announce(`${caption}, ${model}`);
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
  for (const request of offered) save(await busy([], () => fileOf(request, { model: displayed[store.state.part]?.model })), request.file);
}));

// --- dropped and pasted files ------------------------------------------------------------------

const uploads = (again) => import("./uploads.js" + again);
const loadUploads = () => loadModule("The code for image files", uploads);

async function prepare(file) {
  const [{ prepare: prepareFor }, model] = await Promise.all([loadUploads(), context.catalogue.version(store.state.model)]);
  return prepareFor(model, file);
}

async function receive(file) {
  const { stateOf } = await loadUploads();
  const state = await stateOf(file, context.catalogue);
  if (state && await store.restore(state)) return toast("Settings restored from this image.");
  const image = await prepare(file);
  return store.go(store.state.part === "home" ? { values: { image, source: "image" } } : { part: "draw", values: { image } });
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

const picker = modelPicker((reference) => guard(async () => store.go({ model: context.catalogue.reference(reference) })));

/** Resolve the model of the state to a version. If it does not exist, use the default model and show the problem. */
async function selectedVersion() {
  context.catalogue ??= await (opening ??= openCatalogue()).finally(() => (opening = null));
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
  if (problem) {
    problem.message += ` ${reference} is shown instead.`;
    showProblem(problem);
  }
  return context.catalogue.version(reference);
}

// --- the parts ---------------------------------------------------------------------------------

function showFrame(part) {
  for (const link of document.querySelectorAll("nav.parts a")) {
    if (link.dataset.part === part) {
      link.setAttribute("aria-current", "page");
      link.parentElement.scrollTo({ left: link.offsetLeft - 40 });
    } else link.removeAttribute("aria-current");
  }
  for (const section of document.querySelectorAll("main > section[data-part]")) section.hidden = section.dataset.part !== part;
  document.title = part === FIRST ? "zserve" : `zserve: ${part}`;
}

const resultsOf = (part) => [...find(`part-${part}`).querySelectorAll("[data-result]")];

/** Show the selected part. If that fails, go back to what it still displays. */
async function show() {
  const { part } = store.state;
  const call = (calls[part] = (calls[part] ?? 0) + 1);
  const isNewest = () => call === calls[part];
  showFrame(part);
  try {
    const model = await busy(resultsOf(part), selectedVersion);
    if (part !== store.state.part || !isNewest()) return;
    store.fit(model, context.catalogue);
    const changes = sayChanges([]);
    picker.show(context.catalogue.models, model);
    mounted[part] ??= (await load(part)).mount(find(`part-${part}`), contextOf(part));
    const values = { ...store.state.values[part] };
    await busy(resultsOf(part), () => mounted[part].show(values, model));
    if (!isNewest()) return;
    sayChanges(changes);
    displayed[part] = { state: { part, model: model.ref, values: { ...store.state.values[part] } }, model };
    resultsOf(part).forEach((element) => element.removeAttribute("data-stale"));
  } catch (error) {
    if (isNewest()) takeBack(part);
    throw error;
  }
}

/** Say which values were replaced since the last call, after the sentences `before`. Returns all sentences. */
function sayChanges(before) {
  const changes = store.state.changes.splice(0);
  const all = [...before, ...changes];
  if (changes.length) showNotice(all);
  return all;
}

function takeBack(part) {
  const before = displayed[part];
  if (!before) return;
  if (mounted[part].controls) {
    store.takeBack(before.state);
    picker.show(context.catalogue.models, before.model);
    mounted[part].controls(before.state.values, before.model);
  } else resultsOf(part).forEach((element) => element.setAttribute("data-stale", ""));
}

async function update() {
  const { part, model } = store.state;
  const wanted = { part, model, values: { ...store.valuesOf(part) } };
  hideProblem();
  await track(() => guard(show, () => store.go(wanted)));
  if (!working) keepFocus(find(`part-${store.state.part}`));
}

/** Return the context of a part, in which late answers are ignored: `offer` and `remember` do nothing once another part is selected. */
function contextOf(part) {
  const ifSelected = (act) => (...parameters) => part === store.state.part && act(...parameters);
  return { ...context, offer: ifSelected(offer), remember: ifSelected(remember) };
}

const nav = document.querySelector("nav.parts");
nav.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  guard(async () => store.go({ part: link.dataset.part }));
});
nav.addEventListener("keydown", (event) => moveAmong([...nav.querySelectorAll("a")], event));
find("skip").addEventListener("click", (event) => {
  event.preventDefault();
  find("main").focus();
});
addEventListener("popstate", () => open());

/** Show the state of the address. */
async function open() {
  await guard(async () => {
    await track(() => store.read(location.hash));
    await update();
  }, open);
}

/** Load the other parts when nothing else is to do, so that they open at once and without the network. */
function loadOthers() {
  const parts = Object.keys(PARTS);
  const whenIdle = window.requestIdleCallback ?? setTimeout;
  const next = () => parts.length && whenIdle(() => store.prepare(parts.shift()).then(next, () => {}));
  next();
}

opening.catch(() => {});
explainTerms();
markPlaces(() => store.go({ part: "home" }));
store.subscribe(() => {
  hideNotice();
  update();
});
// Without a top-level await: in the bundle the parts import this file, which must be complete then.
open().then(() => {
  showedFirstPictures();
  loadOthers();
});
