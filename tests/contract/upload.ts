// Reconstruct a digit with the client that orval generated: upload.mjs DIGIT ANSWER FIGURE
import { readFile, writeFile } from "node:fs/promises";
import { interpolate, listModels, reconstruct, showFigure, v2Model } from "./client";

const [digit, answer, figure] = process.argv.slice(2);
const png = new Blob([await readFile(digit)], { type: "image/png" });

async function save(path: string, response: { status: number; data: unknown }): Promise<void> {
  if (response.status !== 200 || !(response.data instanceof Blob)) {
    throw new Error(`${path}: ${response.status}`);
  }
  await writeFile(path, Buffer.from(await response.data.arrayBuffer()));
}

await save(answer, await reconstruct(png));
await save(figure, await showFigure("mnist", "production", "samples"));
const row = await interpolate({ a: png, b: png }, { steps: 3 }); // a multipart form
const models = (await listModels()).data;
const missing = (await v2Model("nothing")).data;
if (row.status !== 200 || !models.models.length || !("error" in missing)) {
  throw new Error("the answers are not those of the description");
}
