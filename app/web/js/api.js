// HTTP calls to the service. An error response is thrown as a Problem.
import { sayWhileBusy } from "./busy.js";
import { addressOf, bodyOf } from "./request.js";

/** Pauses before a request is sent again (ms), unless the service names a time in Retry-After. */
const PAUSES_MS = [500, 1000, 2000, 4000];
/** Longest pause that the page takes (ms). If the service asks for more, the user decides. */
const LONGEST_PAUSE_MS = 10_000;
/** Statuses of failures that pass: too many requests, a proxy without a service, no capacity. */
const TEMPORARY = [429, 502, 503, 504];
/** Signals of requests that failed and wait to be sent again. */
const pausing = new WeakSet();

/**
 * An error to show to the user: the service's `detail` as its message, and its `remedy`.
 *
 * `isFinal` is true if the same request, or the same file, is sure to fail again; `isTemporary` if the
 * request is worth sending again at once.
 */
export class Problem extends Error {
  constructor({ detail, remedy = "", status = 0, retryAfterMs = null, isTemporary = TEMPORARY.includes(status), isFinal = !isTemporary && status < 500, cause }) {
    super(detail, { cause });
    this.remedy = remedy;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.isTemporary = isTemporary;
    this.isFinal = isFinal;
  }
}

/**
 * Send a request (see request.js) and return the response. Throws Problem, or AbortError if `signal`
 * was aborted.
 *
 * After a temporary failure the request is sent again, with growing pauses; no request of the page
 * changes anything in the service. Live work, which is replaced in a moment, sets `retries` to 0.
 */
export async function ask(request, { signal, retries = PAUSES_MS.length } = {}) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await send(request, signal);
    } catch (error) {
      if (!error.isTemporary || attempt >= retries) throw error;
      const pause = (error.retryAfterMs ?? PAUSES_MS[attempt]) * (1 + Math.random() / 4);
      if (pause > LONGEST_PAUSE_MS) throw error;
      sayWhileBusy(`${error.message} Trying again in ${Math.ceil(pause / 1000)} s.`);
      await sleep(pause, signal);
    }
  }
}

async function send(request, signal) {
  let response;
  try {
    response = await fetch(addressOf(request), { ...bodyOf(request), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ detail: "The service cannot be reached.", remedy: "check that it is running", isTemporary: true });
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  throw new Problem({
    detail: problem.detail ? sentence(problem.detail) : `The service answered with status ${response.status}.`,
    remedy: problem.remedy ?? (response.status >= 500 ? "try again; if this fails too, see the log of the service" : ""),
    status: response.status,
    retryAfterMs: Number.isFinite(seconds) ? 1000 * seconds : null,
  });
}

/** Return a text with a full stop at its end. */
const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

async function sleep(ms, signal) {
  if (signal) pausing.add(signal);
  try {
    await new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(new DOMException("The request was replaced.", "AbortError"));
      });
    });
  } finally {
    if (signal) pausing.delete(signal);
  }
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

/**
 * Return a function that runs one piece of work at a time, and the newest one next:
 * `const newest = newestNext(); await newest(async (signal) => ..., {isLive})`.
 *
 * Live work, such as the steps of a slider, lets the work in progress end, because otherwise no step
 * would be shown before the slider rests. Other work aborts it. The promise of work that was replaced
 * resolves to undefined.
 */
export function newestNext() {
  let running = null;
  let next = null;

  return async (work, { isLive = false } = {}) => {
    next?.skip();
    next = null;
    if (running && (!isLive || pausing.has(running.signal))) running.abort();
    else if (running) {
      const mayStart = await new Promise((resolve) => {
        next = { start: () => resolve(true), skip: () => resolve(false) };
      });
      if (!mayStart) return undefined;
    }
    const mine = (running = new AbortController());
    try {
      const result = await work(mine.signal);
      return mine.signal.aborted ? undefined : result;
    } catch (error) {
      if (mine.signal.aborted) return undefined;
      throw error;
    } finally {
      if (running === mine) {
        running = null;
        next?.start();
        next = null;
      }
    }
  };
}
