// HTTP calls to the service. An error response is thrown as a Problem.
import { addressOf, bodyOf } from "./request.js";

/** An error to show to the user: the service's `detail` as its message, and its `remedy`. */
export class Problem extends Error {
  constructor({ detail, remedy = "", status = 0 }) {
    super(detail);
    this.remedy = remedy;
    this.status = status;
  }
}

/** Send a request (see request.js) and return the response. Throws Problem, or AbortError if `signal` was aborted. */
export async function ask(request, { signal } = {}) {
  let response;
  try {
    response = await fetch(addressOf(request), { ...bodyOf(request), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ detail: "The service cannot be reached.", remedy: "check that it is running" });
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Problem({
    detail: problem.detail ?? `The service answered with status ${response.status}.`,
    remedy: problem.remedy,
    status: response.status,
  });
}

/** Send a request and return its answer as JSON. */
export async function askJson(request, options) {
  const query = { ...request.query, format: "json" };
  return (await ask({ ...request, query }, options)).json();
}

/** Fetch a path with GET and return the JSON. */
export const get = async (path) => (await ask({ path, method: "GET" })).json();

/**
 * Return a function that runs one piece of work at a time, the newest:
 * `const newest = newestWins(); await newest(async (signal) => ...)`.
 *
 * Each call aborts the call before it, whose promise then resolves to undefined.
 */
export function newestWins() {
  let controller = null;
  return async (work) => {
    controller?.abort();
    const mine = (controller = new AbortController());
    try {
      const result = await work(mine.signal);
      return mine.signal.aborted ? undefined : result;
    } catch (error) {
      if (mine.signal.aborted) return undefined;
      throw error;
    }
  };
}
