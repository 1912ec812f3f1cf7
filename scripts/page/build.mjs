// Bundle the page: node scripts/page/build.mjs, as `make page` does after it installed rollup and esbuild.
//
// Writes app/web/bundle: one file of code for the frame and the first part, one for each other part,
// one for each worker, one style sheet, and an index.html that loads them. Names contain a hash of the
// content. The same sources give the same files. app/api/page_bundle.py decides when the bundle is
// served. Rollup joins the modules, because it lets us choose which files share one; esbuild minifies.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const checkout = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const fromBuild = createRequire(join(checkout, "build/page/"));
const { rollup } = fromBuild("rollup");
const { build, transform } = fromBuild("esbuild");

const web = join(checkout, "app/web");
const bundle = join(web, "bundle");
const index = readFileSync(join(web, "index.html"), "utf8");
const main = join(web, "js/main.js");
const first = join(web, `js/parts/${/const FIRST = "(\w+)"/.exec(readFileSync(main, "utf8"))[1]}.js`);

const MINIFIED = { minify: true, target: "es2022", legalComments: "none", logLevel: "warning" };
const WITH_QUERY = /\(again\) => import\(("\.{1,2}\/[^"]+\.js") \+ again\)/g;
const WORKER = /new URL\("(\.{1,2}\/[^"]+\.js)", import\.meta\.url\)/g;

/** Bundle each worker on its own, and load the bundled file instead: new URL("./worker.js", import.meta.url). */
const workers = {
  name: "workers",
  async transform(code, path) {
    let changed = code;
    for (const [text, address] of code.matchAll(WORKER)) {
      const entry = resolve(dirname(path), address);
      const { outputFiles: [{ contents, text: worker }] } = await build({ ...MINIFIED, entryPoints: [entry], bundle: true, format: "esm", write: false });
      const name = `${basename(entry, ".js")}-${createHash("sha256").update(contents).digest("base64url").slice(0, 8)}.js`;
      this.emitFile({ type: "asset", fileName: name, source: worker });
      changed = changed.replace(text, `new URL("./${name}", import.meta.url)`);
    }
    return changed === code ? null : { code: changed, map: null };
  },
};

/** Bundle modules whose address gets a query at run time, import("./part.js" + again), as if it had none (app/web/js/modules.js). */
const withQuery = new Set();
const queries = {
  name: "queries",
  transform(code, path) {
    const changed = code.replaceAll(WITH_QUERY, "(again) => import($1)");
    if (changed === code) return null;
    withQuery.add(path);
    return { code: changed, map: null };
  },
  renderDynamicImport: ({ moduleId }) => (withQuery.has(moduleId) ? { left: "import(", right: " + again)" } : null),
};

const minify = {
  name: "minify",
  renderChunk: async (code) => ({ code: (await transform(code, { ...MINIFIED, format: "esm" })).code, map: null }),
};

/** Put what the frame and the first part import into one file, and leave the other parts apart. */
function inFirstFile(id, { getModuleInfo }) {
  const seen = new Set();
  const isStatic = (at) => {
    if (at === main || at === first) return true;
    if (seen.has(at)) return false;
    seen.add(at);
    return getModuleInfo(at).importers.some(isStatic);
  };
  return isStatic(id) ? "page" : undefined;
}

/** Return the SHA-256 of the names and contents of the sources, as app/api/page_bundle.py does. */
function checksum() {
  const inFolder = (folder, suffix) => {
    try {
      return readdirSync(join(web, folder), { recursive: true }).filter((name) => name.endsWith(suffix)).map((name) => `${folder}/${name.replaceAll("\\", "/")}`);
    } catch {
      return [];
    }
  };
  const digest = createHash("sha256");
  for (const name of ["index.html", "style.css", ...inFolder("css", ".css"), ...inFolder("js", ".js")].sort()) {
    digest.update(`${name}\0`);
    digest.update(readFileSync(join(web, name)));
    digest.update("\0");
  }
  return digest.digest("hex");
}

rmSync(bundle, { recursive: true, force: true });
mkdirSync(bundle, { recursive: true });

const code = await rollup({ input: main, plugins: [workers, queries, minify] });
const { output } = await code.write({ dir: bundle, format: "es", manualChunks: inFirstFile, entryFileNames: "[name]-[hash].js", chunkFileNames: "[name]-[hash].js", hoistTransitiveImports: false });
await code.close();

const LINK = /<link rel="stylesheet" href="static\/([^"]+)">\n/g;
const sheets = [...index.matchAll(LINK)].map(([, path]) => readFileSync(join(web, path), "utf8"));
const css = (await transform(sheets.join("\n"), { ...MINIFIED, loader: "css" })).code;
const style = `page-${createHash("sha256").update(css).digest("base64url").slice(0, 8)}.css`;
writeFileSync(join(bundle, style), css);

const entry = output.find(({ isEntry }) => isEntry);
const tags = [
  `<link rel="stylesheet" href="static/bundle/${style}">`,
  ...entry.imports.map((name) => `<link rel="modulepreload" href="static/bundle/${name}">`),
  `<script type="module" src="static/bundle/${entry.fileName}"></script>`,
];
const page = index.replace(LINK, "").replace('<script type="module" src="static/js/main.js"></script>', tags.join("\n"));
writeFileSync(join(bundle, "index.html"), page);
writeFileSync(join(bundle, "sources.sha256"), `${checksum()}\n`);
