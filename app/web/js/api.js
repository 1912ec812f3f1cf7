// Talking to the service. A refusal becomes a Problem with the service's own sentence and remedy.
import { addressOf, bodyOf } from "./recipe.js";

export class Problem extends Error {
  constructor({ detail, remedy = "", status = 0 }) {
    super(detail);
    this.remedy = remedy;
    this.status = status;
  }
}

/** The response to a recipe (see recipe.js); throws Problem, or AbortError where `signal` aborted. */
export async function ask(recipe, { signal } = {}) {
  let response;
  try {
    response = await fetch(addressOf(recipe), { ...bodyOf(recipe), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ detail: "The service cannot be reached.", remedy: "look whether it still runs" });
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw new Problem({
    detail: said.detail ?? `The service answered ${response.status}.`,
    remedy: said.remedy,
    status: response.status,
  });
}

/** The JSON answer to a recipe. */
export async function askJson(recipe, options) {
  const query = { ...recipe.query, format: "json" };
  return (await ask({ ...recipe, query }, options)).json();
}

export const get = async (path) => (await ask({ path, method: "GET" })).json();

/**
 * Newest wins: `const newest = newestWins(); newest(async (signal) => ...)`. A call aborts the one
 * before it, whose promise becomes undefined.
 */
export function newestWins() {
  let controller = null;
  return async (work) => {
    controller?.abort();
    const mine = (controller = new AbortController());
    try {
      const found = await work(mine.signal);
      return mine.signal.aborted ? undefined : found;
    } catch (error) {
      if (mine.signal.aborted) return undefined;
      throw error;
    }
  };
}
