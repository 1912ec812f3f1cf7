// Compare: two to four versions on the same input, which is seeds, an image of the user, or a walk.
import { askJson, newestWins } from "../api.js";
import { choice, end, natural, picture, real, seed } from "../codec.js";
import { columnOf, INPUTS, requestsOf } from "../compare/inputs.js";
import { ownImage } from "../compare/own_image.js";
import { temperaturePreview } from "../compare/preview.js";
import { tables, listed, verdict } from "../compare/ranking.js";
import { defaultOthers, MOST_OTHERS, versionControls, versionsField } from "../compare/versions.js";
import { VIEWS, views } from "../compare/views.js";
import { walkEnds } from "../compare/walk_ends.js";
import { walkStrips } from "../compare/walk_strips.js";
import { button, field, fill, h } from "../dom.js";
import { datasetName } from "../model_words.js";
import { addressOf } from "../request.js";
import { randomSeed } from "./generate.js";

/**
 * `other` are the versions beside the selected one. `input` says which of the next fields count: `n`,
 * `seed` and `temperature`; or `image`; or `a`, `b`, `steps` and the position `t`, from 0 to 1.
 *
 * `against` is the place in `other` of the version that a wipe covers, `wipe` the share of the width
 * that shows the first version, and `gain` the factor of differences.
 */
export const fields = {
  other: versionsField(),
  input: choice("seeds", INPUTS),
  n: natural(16, 1, 64), seed: seed(1), temperature: real(1, 0, 10),
  image: picture(),
  a: end({ seed: 3 }), b: end({ seed: 12 }), steps: natural(12, 2, 32), t: real(0.5, 0, 1),
  view: choice("beside", VIEWS), against: natural(1, 1, MOST_OTHERS), wipe: real(0.5, 0, 1), gain: natural(4, 1, 32),
};

const INPUT_NAMES = [["seeds", "the same seeds"], ["drawing", "my image"], ["walk", "a walk between two images"]];
const VIEW_NAMES = [["beside", "Side by side"], ["wipe", "Wipe"], ["difference", "Difference"]];

export function mount(section, context) {
  const { store, catalogue } = context;
  const newest = newestWins();
  /** What the last answers were for: the key and values of the requests, and their columns (see compare/inputs.js). */
  let answered = { key: null, values: null, columns: [] };
  /** The versions that the page chose last, and the version that it chose them for. */
  let chosen = { model: null, other: null };

  const push = (values) => store.set(values, { push: true });
  const versions = versionControls(catalogue, (other) => push({ other, against: Math.min(store.state.values.compare.against, Math.max(1, other.length)) }));
  const input = h("select", { onchange: () => push({ input: input.value }) });
  const seedInput = h("input", { type: "number", min: 0, max: 2 ** 32 - 1, step: 1, inputmode: "numeric", required: true, onchange: () => seedInput.reportValidity() && push({ seed: Number(seedInput.value) }) });
  const n = h("select", { onchange: () => push({ n: Number(n.value) }) });
  const temperatureOutput = h("output");
  const temperature = h("input", { type: "range", min: 0, max: 2, step: 0.05, oninput: () => previewTemperature(), onchange: () => store.set({ temperature: Number(temperature.value) }) });
  const seeds = h("div", { class: "compare-input" }, button("New samples", () => push({ seed: randomSeed() }), { class: "primary" }),
    field("Seed", seedInput), field("Images", n), field("Temperature", temperature, temperatureOutput));
  const image = ownImage(context, (png) => push({ image: png }));
  const ends = walkEnds(context, randomSeed, push);
  const inputs = { seeds, drawing: image.element, walk: ends.element };

  const viewButtons = new Map(VIEW_NAMES.map(([view, name]) => [view, button(name, () => push({ view }), { "aria-pressed": "false" })]));
  const against = h("select", { onchange: () => push({ against: Number(against.value) }) });
  const againstField = field("Wipe to", against);
  const gainOutput = h("output");
  const gain = h("input", { type: "range", min: 1, max: 32, step: 1, oninput: () => store.set({ gain: Number(gain.value) }) });
  const gainField = field("Gain", gain, gainOutput);
  const pictures = views(context, (wipe) => store.set({ wipe }));
  const preview = temperaturePreview((columns, values) => pictures.show(columns, { ...store.state.values.compare, temperature: values.temperature }));
  const strips = walkStrips((t) => store.set({ t }));
  const none = h("p", { class: "note" }, "Draw a digit, or choose an image. Every version reconstructs the same one.");
  const alone = h("p", { class: "note compare-alone" });
  const announcement = h("p", { class: "off-screen", role: "status" });
  const metrics = h("div", { class: "metrics" });
  section.append(
    h("div", { class: "controls" }, versions.element, field("Compare on", input)),
    h("div", { class: "controls" }, ...Object.values(inputs)),
    h("div", { class: "controls view-controls" }, h("div", { class: "segments", role: "group", "aria-label": "View" }, [...viewButtons.values()]), againstField, gainField),
    alone, none, strips.position, pictures.element, strips.element, announcement, metrics);

  /** Return the references of the other versions, pinned. They are chosen again if the page chose them for another version. */
  function othersOf({ other }, model) {
    const isStale = other?.join() === chosen.other?.join() && chosen.model !== model.ref;
    if (other && !isStale) return other.map(catalogue.reference);
    const others = defaultOthers(model, catalogue);
    chosen = { model: model.ref, other: others.length ? others : null };
    return others;
  }

  /** Write the other versions into the address, as they were chosen or resolved. */
  function pin(others) {
    const values = store.valuesOf("compare");
    if (others.join() === (values.other ?? []).join()) return;
    values.other = others.length ? others : null;
    history.replaceState(null, "", store.address());
  }

  function previewTemperature() {
    temperatureOutput.textContent = Number(temperature.value).toFixed(2);
    if (answered.values?.input !== "seeds") return;
    context.guard(() => preview({ columns: answered.columns, values: answered.values, temperature: Number(temperature.value) }));
  }

  async function show(values, model) {
    preview.drop();
    const others = othersOf(values, model);
    pin(others);
    if (values.against > Math.max(1, others.length)) {
      store.correct("compare", { against: 1 }, `against=${values.against} cannot be shown: ${others.length === 1 ? "there is one other version" : `there are ${others.length} other versions`}. against=1 is used instead.`);
      values.against = 1;
    }
    const compared = [model, ...(await Promise.all(others.map(catalogue.version)))];
    showControls(values, compared);
    await image.show(values.image);
    const requests = requestsOf(values, compared);
    context.offer(requests);
    const columns = requests ? await columnsOf(requests, values, compared) : [];
    if (!columns) return;
    await showColumns(columns, store.state.values.compare);
    metrics.replaceChildren(h("p", { class: "verdict" }, verdict(compared)), ...tables(compared, (version) => ownNumbers(columns.find((column) => column.version === version), columns)));
    if (columns.length) context.remember(`${listed(compared.map(({ ref }) => ref))}, ${captionOf(values)}`, faces());
  }

  /** Return the columns of the answers, or undefined if a newer request was sent meanwhile. */
  async function columnsOf(requests, values, compared) {
    const key = [...requests.map(addressOf), values.image && fields.image.format(values.image), fields.a.format(values.a), fields.b.format(values.b)].join(" ");
    if (key === answered.key) return answered.columns;
    const answers = await newest((signal) => Promise.all(requests.map((request) => askJson(request, { signal }))));
    if (!answers) return undefined;
    answered = { key, values: structuredClone(values), columns: answers.map((answer, i) => columnOf(answer, compared[i], values)) };
    announcement.textContent = `Shown: ${listed(compared.map(({ ref }) => ref))}, ${captionOf(values)}.`;
    return answered.columns;
  }

  function showControls(values, compared) {
    versions.show(compared.slice(1).map(({ ref }) => ref), compared[0]);
    fill(input, INPUT_NAMES, values.input);
    for (const [name, element] of Object.entries(inputs)) element.hidden = name !== values.input;
    seedInput.value = values.seed;
    temperature.value = values.temperature;
    temperatureOutput.textContent = values.temperature.toFixed(2);
    fill(n, [...new Set([1, 4, 16, 36, 64, values.n])].sort((x, y) => x - y).map((size) => [size, size]), values.n);
    ends.show(values);
    for (const [view, element] of viewButtons) element.setAttribute("aria-pressed", String(view === values.view));
    againstField.hidden = values.view !== "wipe" || compared.length < 3;
    fill(against, compared.slice(1).map(({ ref }, i) => [i + 1, ref]), values.against);
    gainField.hidden = values.view !== "difference";
    gain.value = values.gain;
    gainOutput.textContent = `×${values.gain}`;
    alone.hidden = compared.length > 1;
    alone.textContent = `Nothing else was trained on ${datasetName(compared[0].dataset)}. Add a version of another data set to see its images beside these; their numbers are not ranked.`;
    none.hidden = values.input !== "drawing" || Boolean(values.image);
  }

  /** Show the images; of a walk, the frames at its position, and the strips of all frames. */
  async function showColumns(columns, values) {
    const isWalk = values.input === "walk" && columns.length > 0;
    strips.show(isWalk ? columns : [], values.t);
    const shown = isWalk ? columns.map((column) => ({ ...column, shots: [column.shots[Math.round(values.t * (column.shots.length - 1))]] })) : columns;
    await pictures.show(shown, values);
  }

  /** Return images for the thumbnail of the history: two of each version, at most four. */
  const faces = () => [...pictures.element.querySelectorAll(".compared, .wipe")].flatMap((side) => [...side.querySelectorAll("img, canvas")].slice(0, 2)).slice(0, 4);

  return { show };
}

/** Return the numbers of a drawing as rows of the tables. Errors are ranked if the versions got the same pixels. */
function ownNumbers(column, columns) {
  if (!column?.nats) return [];
  const { bce, kl } = column.nats;
  const isSame = columns.every(({ seen }) => seen.item.png === column.seen.item.png);
  return [
    ["This image: reconstruction error", `${bce.toFixed(2)} nats`, "BCE of the reconstruction at mu, summed over all pixels", isSame ? [bce, "lower"] : null],
    ["This image: KL", `${kl.toFixed(2)} nats`, "KL of the encoder's distribution from N(0, I)", null],
  ];
}

function captionOf({ input, n, seed, a, b }) {
  const nameOf = (place) => (place.png ? "an image" : `seed ${place.seed}`);
  if (input === "drawing") return "an image";
  return input === "walk" ? `from ${nameOf(a)} to ${nameOf(b)}` : `seed ${seed}${n > 1 ? ` and ${n - 1} more` : ""}`;
}
