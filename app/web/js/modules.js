// Modules of the page that are loaded when they are first needed.
import { Problem } from "./api.js";

/** load -> how often it failed */
const failures = new Map();

/**
 * Return the module that `load(again)` imports: `(again) => import("./parts/map.js" + again)`. `name` says
 * in a message what is missing.
 *
 * Some browsers, such as Firefox, do not fetch an address again once its module could not be loaded. So each
 * attempt after a failure has an address of its own: `again` is a query, or empty at first. The modules that
 * are imported by that module keep their addresses: if one of them failed, the page has to be reloaded.
 */
export async function loadModule(name, load) {
  const failed = failures.get(load) ?? 0;
  try {
    return await load(failed ? `?again=${failed}` : "");
  } catch (error) {
    failures.set(load, failed + 1);
    throw new Problem({ detail: `${name} could not be loaded.`, remedy: "check that the service is running; if it is, reload this page", isFinal: false, cause: error });
  }
}
