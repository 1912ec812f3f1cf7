// Fits an element into a frame: the width of its layout is chosen so that its images become largest.

/** Widths of layout that are tried, in CSS pixels: from a phone to a wide screen. */
const WIDTHS = [340, 420, 500, 600, 720, 860, 1000, 1160, 1340];
/** The smallest and the largest enlargement. What does not fit at the smallest one can be scrolled. */
const SCALES = [0.3, 5];
/** Most images whose size is measured. */
const MOST_MEASURED = 100;
/** Styles that are set on the element. */
const STYLES = ["width", "scale", "transform-origin", "margin"];

/** Keep an element fitted into a frame, until the returned function is called. */
export function keepFitted(element, frame) {
  let waiting = null;
  const fit = () => {
    waiting = null;
    const style = getComputedStyle(frame);
    const room = {
      width: frame.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight),
      height: frame.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom),
    };
    if (room.width > 0 && room.height > 0) place(element, bestOf(element, room));
  };
  const observer = new ResizeObserver(() => (waiting ??= requestAnimationFrame(fit)));
  observer.observe(element);
  observer.observe(frame);
  fit();
  return () => {
    observer.disconnect();
    cancelAnimationFrame(waiting);
    STYLES.forEach((name) => element.style.removeProperty(name));
  };
}

/** Return the best of WIDTHS as {width, height, scale}: the one with the largest images, or, without images, the largest text. */
function bestOf(element, room) {
  const images = [...element.querySelectorAll("img, canvas")].slice(0, MOST_MEASURED);
  const tried = WIDTHS.map((width) => {
    element.style.width = `${width}px`;
    const [needed, height] = [Math.max(width, element.scrollWidth), element.offsetHeight];
    const scale = Math.min(room.width / needed, room.height / height, SCALES[1]);
    const area = images.reduce((sum, image) => sum + image.offsetWidth * image.offsetHeight, 0);
    return { width: needed, height, scale, size: area ? scale * Math.sqrt(area) : scale };
  });
  const best = tried.reduce((a, b) => (b.size > a.size * 1.02 ? b : a));
  return { ...best, scale: Math.max(best.scale, SCALES[0]) };
}

/** Enlarge the element, with margins that make its box as large as it looks. */
function place(element, { width, height, scale }) {
  Object.assign(element.style, {
    width: `${width}px`, scale: String(scale), transformOrigin: "0 0", margin: `0 ${(scale - 1) * width}px ${(scale - 1) * height}px 0`,
  });
}
