// The moment when the page shows its first pictures. What is large and not needed for them waits for it.

/** A mark of the browser's clock, which tools for measuring pages show too. */
const MARK = "first pictures";

/** A promise that is resolved when the first pictures are shown. */
export const firstPictures = new Promise((resolve) => {
  new PerformanceObserver((list) => list.getEntriesByName(MARK).length && resolve()).observe({ type: "mark", buffered: true });
});

/** Say that the first pictures are shown, or that nothing more is on its way to them. */
export const showedFirstPictures = () => performance.mark(MARK);
