// Following a pointer: it moves faster than any service answers.

/**
 * `const follow = oneAtATime(async (value, signal) => ...)`. While one value is worked on, only the
 * newest of those that come waits; the others are dropped. An answer that is shown late is better
 * than one that is always aborted. `follow.drop()` aborts the work and forgets what waits.
 */
export function oneAtATime(work) {
  let controller = null;
  let waiting = null;

  async function follow(value) {
    waiting = { value };
    if (controller) return;
    const mine = (controller = new AbortController());
    try {
      while (waiting && !mine.signal.aborted) {
        const next = waiting.value;
        waiting = null;
        await work(next, mine.signal);
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
    waiting = null;
  };
  return follow;
}
