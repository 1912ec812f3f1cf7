// Learn: the snapshots of a training along its time, and a family of models along beta.
import { newestWins } from "../api.js";
import { natural, real, short, text } from "../codec.js";
import { button, field, fill, h } from "../dom.js";
import { term } from "../explain.js";
import { dimensionBars, epochText, lossChart } from "../learn/curves.js";
import { drawScatter } from "../learn/scatter.js";
import { familiesOf, hasSnapshots, snapshotLoader } from "../learn/snapshots.js";
import { betaInWords, progressInWords } from "../learn/words.js";
import { COLOURS } from "../map/colours.js";
import { swatch } from "../map/legend.js";

/**
 * `at` is the number of the snapshot; null means the last one. `family` and `beta` choose what is shown
 * if the selected model is not a member of a family; null means the family, and beta 1.
 */
export const fields = {
  family: { ...text(), misfit: (value, _, catalogue) => (familiesOf(catalogue).some(({ name }) => name === value) ? null : `there is no family of models named ${short(value)}.`), instead: "The page chose what to show instead." },
  beta: { ...real(null, 0, 1e6), misfit: (value, _, catalogue) => (familiesOf(catalogue).some(({ members }) => members.some((member) => member.beta === value)) ? null : `no model here was trained with beta ${value}.`), instead: "The page chose a beta instead." },
  at: { ...natural(null, 0, 31), instead: "The last snapshot is shown instead." },
};

/** Time per snapshot while playing. */
const SNAPSHOT_MS = 350;
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

export function mount(section, context) {
  const { store, catalogue } = context;
  const load = snapshotLoader(catalogue);
  const families = familiesOf(catalogue);
  const newest = newestWins();
  let snapshots = null;
  let subject = null;
  let charts = [];
  let at = 0;
  let playTimer = null;

  const play = button("Play", () => (reducedMotion.matches ? step() : playTimer ? stop() : start()), { class: "primary" });
  const time = h("input", { type: "range", min: 0, step: 1, oninput: () => {
    pause();
    store.set({ at: Number(time.value) });
  } });
  const timeOutput = h("output", {});
  const beta = h("input", { type: "range", min: 0, step: 1, oninput: () => chooseBeta(subject.family.members[Number(beta.value)]), onfocus: loadFamily, onpointerenter: loadFamily });
  const betaOutput = h("output", {});
  const betaMarks = h("div", { class: "learn-betas", "aria-hidden": "true" });
  const betaField = h("div", { class: "learn-beta" }, field("beta", beta, betaOutput), betaMarks);
  const source = h("select", { onchange: () => store.set({ family: source.value || null, beta: null, at: null }, { push: true }) });
  const sourceField = field("Show", source);
  const notice = h("p", { class: "note", hidden: true });
  const progress = h("p", {});
  const meaning = h("p", {});
  const words = h("div", { class: "learn-words", role: "status" }, progress, meaning);
  const samples = h("canvas", { class: "pixels", role: "img" });
  const rebuilt = h("canvas", { class: "pixels", role: "img" });
  const scatter = h("canvas", { class: "learn-scatter", role: "img" });
  const classes = h("ul", { class: "learn-classes", "aria-label": "Classes of the points" });
  const losses = h("div", {});
  const bars = h("div", {});
  const body = h("div", { class: "learn-body", "data-result": "" }, words,
    h("figure", { class: "learn-samples" }, h("h3", {}, "New images"), samples, h("p", { class: "note" }, "The decoder gets the same random ", term("z"), " at every moment.")),
    h("figure", { class: "learn-rebuilt" }, h("h3", {}, "Rebuilt test images"), rebuilt, h("p", { class: "note" }, "The same test images, encoded and decoded.")),
    h("figure", { class: "learn-place" }, h("h3", {}, "Where the encoder puts test images"), scatter, classes, h("p", { class: "note" }, "Each point is the ", term("mu"), " of a test image. The circles are one and two standard deviations of N(0, 1), from which z is drawn for new images.")),
    h("div", { class: "learn-numbers" }, h("h3", {}, "Losses of the test images"), losses, h("h3", {}, "What each dimension says: its ", term("KL")), bars));
  const controls = h("div", { class: "learn-controls" }, h("div", { class: "learn-time" }, play, field("Time", time, timeOutput)), betaField);
  section.append(sourceField, notice, controls, body);

  // --- time ---

  function start() {
    if (at === lastOf(snapshots)) draw(0);
    play.textContent = "Pause";
    words.setAttribute("aria-live", "off");
    playTimer = setInterval(() => {
      if (section.hidden || at >= lastOf(snapshots)) return stop();
      draw(at + 1);
    }, SNAPSHOT_MS);
  }

  /** Stop playing without a change of the address. */
  function pause() {
    clearInterval(playTimer);
    playTimer = null;
    play.textContent = reducedMotion.matches ? "Next" : "Play";
    words.removeAttribute("aria-live");
  }

  function stop() {
    pause();
    if (!section.hidden) store.set({ at });
  }

  /** Show the next snapshot, after the last one the first. The button does this if the user prefers reduced motion. */
  const step = () => store.set({ at: at === lastOf(snapshots) ? 0 : at + 1 });

  reducedMotion.addEventListener("change", pause);

  // --- beta ---

  /** A member of the selected family becomes the model of the page; otherwise the model of the page stays. */
  function chooseBeta(member) {
    pause();
    if (subject.own) store.go({ model: member.ref, values: { at, beta: null }, push: false });
    else store.set({ beta: member.beta, at });
  }

  /** Load the whole family once somebody reaches for the slider, so that it answers at once. */
  function loadFamily() {
    for (const { ref } of subject?.family?.members ?? []) load(ref).catch(() => {});
  }

  /** Return what to show for a model: {ref, family, member, own}; null if there is nothing. */
  function subjectOf(values, model) {
    const ownFamily = families.find(({ name }) => name === model.manifest.training.family?.name);
    const chosen = families.find(({ name }) => name === values.family);
    const own = !chosen || chosen === ownFamily ? ownFamily : null;
    const member = own?.members.find(({ ref }) => ref === model.ref);
    if (member && hasSnapshots(model)) return { ref: model.ref, family: own, member, own: true };
    if (hasSnapshots(model) && !chosen) return { ref: model.ref, family: null, member: null, own: true };
    const family = chosen ?? families[0];
    if (!family) return null;
    const wanted = values.beta ?? 1;
    const nearest = family.members.reduce((best, each) => (Math.abs(each.beta - wanted) < Math.abs(best.beta - wanted) ? each : best));
    return { ref: nearest.ref, family, member: nearest, own: false };
  }

  /** Say so if the beta of an address is not the one that is shown. */
  function correctBeta({ beta: wanted }) {
    if (wanted === null || wanted === subject.member?.beta) return;
    const [shown, why] = subject.own
      ? [null, `${subject.ref} is selected`]
      : [subject.member.beta, `the family ${subject.family.name} has no such model`];
    store.correct("learn", { beta: shown }, `beta=${wanted} cannot be shown: ${why}. ${shown === null ? "It was left out" : `beta=${shown} is used instead`}.`);
  }

  function showControls(values, model) {
    const plainOwn = hasSnapshots(model) && !model.manifest.training.family;
    const sources = [...(plainOwn ? [["", model.ref]] : []), ...families.map(({ name }) => [name, `the family ${name}`])];
    sourceField.hidden = sources.length < 2;
    fill(source, sources, subject.family?.name ?? "");
    notice.hidden = subject.own || plainOwn;
    notice.textContent = `${model.ref} was published without snapshots of its training. What you see is ${subject.ref}, of a family of small models that were trained to be compared.`;
    betaField.hidden = !subject.family;
    if (!subject.family) return;
    const { members } = subject.family;
    beta.max = members.length - 1;
    beta.value = members.indexOf(subject.member);
    betaOutput.textContent = String(subject.member.beta);
    beta.setAttribute("aria-valuetext", `beta ${subject.member.beta}`);
    betaMarks.replaceChildren(...members.map((each) => h("span", {}, String(each.beta))));
  }

  // --- drawing ---

  const lastOf = ({ epochs }) => epochs.length - 1;

  /** Copy images of the row `at` of the sheet onto a canvas, `across` in a row. */
  function drawImages(canvas, { sheet, width, height }, from, count, across) {
    canvas.width = across * (width + 1) - 1;
    canvas.height = Math.ceil(count / across) * (height + 1) - 1;
    const brush = canvas.getContext("2d");
    for (let i = 0; i < count; i++) {
      brush.drawImage(sheet, (from + i) * width, at * height, width, height, (i % across) * (width + 1), Math.floor(i / across) * (height + 1), width, height);
    }
    canvas.dataset.at = at;
  }

  function draw(next) {
    at = Math.min(next, lastOf(snapshots));
    const epoch = epochText(snapshots.epochs[at]);
    time.max = lastOf(snapshots);
    time.value = at;
    timeOutput.textContent = `epoch ${epoch} of ${epochText(snapshots.epochs.at(-1))}`;
    time.setAttribute("aria-valuetext", timeOutput.textContent);
    drawImages(samples, snapshots, 0, snapshots.samples, 4);
    drawImages(rebuilt, snapshots, snapshots.samples, snapshots.reconstructions, 4);
    drawScatter(scatter, snapshots, at);
    samples.setAttribute("aria-label", `${snapshots.samples} new images at epoch ${epoch}`);
    rebuilt.setAttribute("aria-label", `${snapshots.reconstructions} reconstructions at epoch ${epoch}`);
    scatter.setAttribute("aria-label", `Test images in the plane of ${snapshots.dimensions.slice(0, 2).map((dim) => snapshots.space + dim).join(" and ")} at epoch ${epoch}`);
    charts.forEach((chart) => chart.show(at));
    progress.textContent = progressInWords(snapshots, at);
  }

  async function show(values, model) {
    context.offer(null);
    subject = subjectOf(values, model);
    [controls, body].forEach((element) => (element.hidden = !subject));
    if (!subject) {
      sourceField.hidden = true;
      notice.hidden = false;
      notice.textContent = `${model.ref} was published without snapshots of its training, and no other model here has any. Versions that are trained now have them: make betas trains a family to compare.`;
      return;
    }
    showControls(values, model);
    correctBeta(values);
    const plain = subject.family?.members.find((member) => member.beta === 1);
    const loaded = await newest(() => Promise.all([load(subject.ref), plain && subject.member.beta !== 1 ? load(plain.ref) : null]));
    if (!loaded) return;
    if (snapshots !== loaded[0]) {
      [snapshots] = loaded;
      charts = [lossChart(snapshots, (chosen) => {
        pause();
        store.set({ at: chosen });
      }), dimensionBars(snapshots)];
      losses.replaceChildren(charts[0].element);
      bars.replaceChildren(charts[1].element);
      classes.replaceChildren(...(snapshots.labels && snapshots.classes.length <= COLOURS.length ? snapshots.classes.map((name, label) => h("li", {}, swatch(label), name)) : []));
      meaning.textContent = `${subject.family ? `beta ${subject.member.beta}: ` : ""}${betaInWords(snapshots, loaded[1])}`;
    }
    const last = lastOf(snapshots);
    if (values.at > last) store.correct("learn", { at: null }, `at=${values.at} cannot be shown: ${subject.ref} has the snapshots 0 to ${last}. The last one is shown instead.`);
    if (!playTimer) draw(Math.min(values.at ?? last, last));
    context.remember(`${subject.ref} at epoch ${epochText(snapshots.epochs[at])}`, [samples]);
  }

  pause();
  return { show };
}
