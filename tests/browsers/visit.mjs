// Drive a browser over WebDriver BiDi, or Chromium's own protocol, and print what it computed and showed.
//
//   node visit.mjs '{"driver": "build/browsers", "browser": "firefox", "path": "/usr/bin/firefox-esr",
//                    "address": "http://localhost:8000", "rows": 1000, "refs": ["mnist@8"], "parts": ["map"]}'
//
// The answer is {decoded: {ref: {local, reason, sha256}}, parts: {name: number of pictures}, errors: [...]}.
import { createRequire } from "node:module";
import { resolve } from "node:path";

const { driver, browser: name, path, address, rows, refs, parts } = JSON.parse(process.argv[2]);
const { launch } = createRequire(resolve(driver, "package.json"))("puppeteer-core");

const host = new URL(address).host;
const errors = [];
const browser = await launch({
  browser: name, executablePath: path, headless: true, protocolTimeout: 600_000,
  args: name === "chrome" ? ["--no-sandbox"] : [],
});

try {
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  page.on("console", (message) => ["error", "warn"].includes(message.type()) && errors.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => errors.push(`error: ${error.message}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith("http") && url.host !== host) errors.push(`request to another host: ${url.href}`);
  });
  await page.goto(address);
  await page.waitForSelector("main[aria-busy=false]");

  const decoded = {};
  for (const ref of refs) decoded[ref] = await page.evaluate(decode, ref, rows);

  const shown = {};
  for (const part of parts) {
    await page.goto("about:blank");
    await page.goto(`${address}/#${part}`);
    await page.waitForSelector("main[aria-busy=false]");
    await page.waitForSelector(`#part-${part}:not([hidden])`);
    shown[part] = await page.$$eval(`#part-${part} h2`, (titles) => titles.length);
    if (await page.$("#problem:not([hidden])")) errors.push(`${part} shows a problem`);
  }
  process.stdout.write(JSON.stringify({ decoded, parts: shown, errors, version: await browser.version() }));
} finally {
  await browser.close();
}

/** Decode latents that are made of integers alone, in the page. */
async function decode(ref, rows) {
  const { openCatalogue } = await import("/static/js/models.js");
  const { openDecoder } = await import("/static/js/decoding.js");
  const { sha256 } = await import("/static/js/exact/sha256.js");
  const model = await (await openCatalogue()).version(ref);
  const decoder = await (await openDecoder(model)).ready;
  const z = Array.from({ length: rows }, (_, row) =>
    Array.from({ length: model.latent }, (_, d) => (Math.imul(row * model.latent + d, 2654435761) >>> 0) / 2 ** 30 - 2));
  const pictures = await decoder.decode(z);
  const bytes = new Uint8Array(pictures.length * pictures[0].length);
  pictures.forEach((picture, i) => bytes.set(picture, i * picture.length));
  return { local: decoder.local, reason: decoder.reason, sha256: sha256(bytes) };
}
