// The page works without this; it adds other samples, the table of models and this host's address.
const find = (id) => document.getElementById(id);

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  return [problem.detail ?? `The service answered ${response.status}.`, problem.remedy]
    .filter(Boolean).join(" What helps: ");
}

function complain(text) {
  find("problem").textContent = text;
  find("problem").hidden = !text;
}

async function draw() {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  const address = `generate?n=32&columns=8&seed=${seed}`;
  try {
    const response = await fetch(address);
    if (!response.ok) return complain(await problemOf(response));
    URL.revokeObjectURL(find("samples").src);
    find("samples").src = URL.createObjectURL(await response.blob());
    find("seed").textContent = seed;
    find("download").href = address;
    complain("");
  } catch {
    complain("The service cannot be reached.");
  }
}

function cell(kind, content) {
  const element = document.createElement(kind);
  element.append(content);
  return element;
}

function link(address, text) {
  const element = document.createElement("a");
  element.href = address;
  element.textContent = text;
  return element;
}

function row(model) {
  const [channels, height, width] = model.image;
  const loss = model.metrics.test_negative_elbo;
  const line = document.createElement("tr");
  line.append(
    cell("td", link(`models/${model.name}/${model.version}`, `${model.name}@${model.version}`)),
    cell("td", model.dataset),
    cell("td", `${width}×${height}${channels === 3 ? ", colour" : ""}`),
    cell("td", String(model.latent)),
    cell("td", loss ? `${loss.value.toFixed(1)} ${loss.unit.split(" ")[0]}` : "–"),
  );
  return line;
}

async function listModels() {
  const response = await fetch("models");
  if (!response.ok) return;
  const { models } = await response.json();
  if (!models.length) {
    find("models").replaceChildren(cell("p", "There is no model in the store yet."));
    return;
  }
  const head = document.createElement("tr");
  head.append(...["Model", "Trained on", "Image", "Latent dimensions", "Test −ELBO"].map((text) => cell("th", text)));
  const table = document.createElement("table");
  table.append(head, ...models.map(row));
  const box = cell("div", table);
  box.className = "table";
  find("models").replaceChildren(box);
}

find("reroll").hidden = false;
find("reroll").addEventListener("click", draw);
find("curl").textContent = find("curl").textContent.replaceAll("http://localhost:8000/", new URL("./", location.href).href);
find("samples").addEventListener("error", async () => complain(await problemOf(await fetch("readyz"))));
if (find("samples").complete && !find("samples").naturalWidth) find("samples").dispatchEvent(new Event("error"));
listModels();
