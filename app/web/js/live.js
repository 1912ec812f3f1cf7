// Live updates for a pointer, which moves faster than the service answers.

/**
 * Return a function that processes one value at a time:
 * `const follow = oneAtATime(async (value, signal) => ...)`.
 *
 * Values that arrive during the work replace each other, so that only the newest one comes next.
 * The work in progress is not aborted: with a moving pointer, no answer would ever be shown.
 * `follow.drop()` aborts the work and discards the next value.
 */
export function oneAtATime(work) {
  let controller = null;
  let next = null;

  async function follow(value) {
    next = { value };
    if (controller) return;
    const mine = (controller = new AbortController());
    try {
      while (next && !mine.signal.aborted) {
        const current = next.value;
        next = null;
        await work(current, mine.signal);
      }
    } catch (error) {
      if (!mine.signal.aborted) throw error;
    } finally {
      if (controller === mine) controller = null;
    }
  }

  follow.drop = () => {
    controller?.abort();
    controller = null;
    next = null;
  };
  return follow;
}
