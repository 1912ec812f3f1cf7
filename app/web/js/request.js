// A request to the service as plain data. The page sends it and also shows it as curl and Python
// code, so that the copied code makes exactly the same request.
//
//   {path: "generate", query: {n: 16, seed: 7}, json: {z: [[...]]}, images: {a: bytes}, file: "x.png"}
//
// `json` and `images` are optional, and at most one of them is set. Query parameters that are null
// are left out. `file` is the name under which the answer is saved.
import { toBase64 } from "./codec.js";

/** Return the path and query relative to the page, such as `generate?n=16&seed=7`. */
export function addressOf({ path, query = {} }) {
  const search = new URLSearchParams(parametersIn(query)).toString().replaceAll("%40", "@").replaceAll("%2C", ",");
  return search ? `${path}?${search}` : path;
}

/** Return the method, headers and body for `fetch`. */
export function bodyOf({ json, images, method = "POST" }) {
  if (json) return { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(json) };
  if (!images) return { method };
  const form = new FormData();
  for (const [name, bytes] of Object.entries(images)) form.append(name, new Blob([bytes], { type: "image/png" }), `${name}.png`);
  return { method, body: form };
}

/** Return a shell command that saves the same file. Images are included as base64. */
export function asCurl(request) {
  const { json, images = {}, file } = request;
  const lines = Object.entries(images).map(([name, bytes]) => `echo '${toBase64(bytes)}' | base64 -d > ${name}.png`);
  const parts = [`curl --fail-with-body -X POST "${pageAddress()}${addressOf(request)}"`];
  if (json) parts.push(`-H "Content-Type: application/json"`, `-d '${JSON.stringify(json)}'`);
  for (const name of Object.keys(images)) parts.push(`-F ${name}=@${name}.png`);
  parts.push(`-o ${file}`);
  return [...lines, parts.join(parts.length > 2 ? " \\\n  " : " ")].join("\n");
}

/** Return Python code that saves the same file with httpx. */
export function asPython({ path, query = {}, json, images, file }) {
  const literal = (value) => (typeof value === "boolean" ? JSON.stringify(String(value)) : JSON.stringify(value));
  const params = parametersIn(query).map(([name, value]) => `"${name}": ${literal(value)}`).join(", ");
  const call = [`    "${pageAddress()}${path}",`, `    params={${params}},`];
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
    "response = httpx.post(",
    ...call,
    ")",
    "response.raise_for_status()",
    `Path("${file}").write_bytes(response.content)`,
    "",
  ].join("\n");
}

const parametersIn = (query) => Object.entries(query).filter(([, value]) => value !== null && value !== undefined);

const pageAddress = () => new URL("./", location.href.split("#")[0]).href;
