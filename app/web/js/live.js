// Live updates for a pointer, which moves faster than the service answers.

/**
 * Return a function that processes one value at a time:
 * `const follow = oneAtATime(async (value, signal) => ...)`.
 *
 * Values that arrive during the work replace each other, so that only the newest one comes next.
 * The work in progress is not aborted: with a moving pointer, no answer would ever be shown.
 *
 * `await follow(value)` returns what the work returns, or undefined if a newer value took the place
 * of this one; it throws what the work throws. `follow.drop()` aborts the work and discards the next
 * value.
 */
export function oneAtATime(work) {
  let controller = null;
  let next = null;

  function follow(value) {
    next?.resolve(undefined);
    const done = new Promise((resolve, reject) => (next = { value, resolve, reject }));
    if (!controller) run();
    return done;
  }

  async function run() {
    const mine = (controller = new AbortController());
    const { signal } = mine;
    while (next && !signal.aborted) {
      const { value, resolve, reject } = next;
      next = null;
      try {
        const result = await work(value, signal);
        resolve(signal.aborted ? undefined : result);
      } catch (error) {
        if (signal.aborted) resolve(undefined);
        else reject(error);
      }
    }
    if (controller === mine) controller = null;
  }

  follow.drop = () => {
    controller?.abort();
    controller = null;
    next?.resolve(undefined);
    next = null;
  };
  return follow;
}
