// A recipe is a request as data. The page asks with it, and shows it as curl and as Python: what is
// copied is what was asked.
//
//   {path: "generate", query: {n: 16, seed: 7}, json: {z: [[...]]}, images: {a: bytes}, file: "x.png"}
//
// `json` and `images` are optional and exclude each other; null in the query is left out.
import { toBase64 } from "./codec.js";

/** `generate?n=16&seed=7`, relative to the page. */
export function addressOf({ path, query = {} }) {
  const pairs = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const said = new URLSearchParams(pairs).toString().replaceAll("%40", "@").replaceAll("%2C", ",");
  return said ? `${path}?${said}` : path;
}

/** Method and body for fetch. */
export function bodyOf({ json, images, method = "POST" }) {
  if (json) return { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(json) };
  if (!images) return { method };
  const form = new FormData();
  for (const [name, bytes] of Object.entries(images)) form.append(name, new Blob([bytes], { type: "image/png" }), `${name}.png`);
  return { method, body: form };
}

const here = () => new URL("./", location.href.split("#")[0]).href;

/** A shell line that makes the same file. Images are written out, so that it runs as pasted. */
export function asCurl(recipe) {
  const { json, images = {}, file } = recipe;
  const lines = Object.entries(images).map(([name, bytes]) => `echo '${toBase64(bytes)}' | base64 -d > ${name}.png`);
  const parts = [`curl --fail-with-body -X POST "${here()}${addressOf(recipe)}"`];
  if (json) parts.push(`-H "Content-Type: application/json"`, `-d '${JSON.stringify(json)}'`);
  for (const name of Object.keys(images)) parts.push(`-F ${name}=@${name}.png`);
  parts.push(`-o ${file}`);
  return [...lines, parts.join(parts.length > 2 ? " \\\n  " : " ")].join("\n");
}

/** The same for Python with httpx. */
export function asPython(recipe) {
  const { json, images, file, query = {} } = recipe;
  const pairs = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const python = (value) => (typeof value === "boolean" ? JSON.stringify(String(value)) : JSON.stringify(value));
  const given = pairs.map(([name, value]) => `"${name}": ${python(value)}`).join(", ");
  const call = [`    "${here()}${recipe.path}",`, `    params={${given}},`];
  if (json) call.push(`    json=${JSON.stringify(json)},`);
  if (images) {
    call.push("    files={");
    for (const [name, bytes] of Object.entries(images)) call.push(`        "${name}": base64.b64decode("${toBase64(bytes)}"),`);
    call.push("    },");
  }
  return [
    ...(images ? ["import base64"] : []),
    "from pathlib import Path",
    "",
    "import httpx",
    "",
    "answer = httpx.post(",
    ...call,
    ")",
    "answer.raise_for_status()",
    `Path("${file}").write_bytes(answer.content)`,
    "",
  ].join("\n");
}
