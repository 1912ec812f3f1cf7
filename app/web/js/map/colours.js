// Colours of classes on the map, whose ground is black in both themes.
//
// The ten were chosen by a search for the largest distance between the closest two (OKLab 0.129) as
// people with ordinary vision, protanopia, deuteranopia and tritanopia see them, among colours with a
// contrast of at least 4.2 to black. With more classes they repeat, and the points are drawn as the
// names of their classes.

export const COLOURS = ["#ffbb77", "#aa22ff", "#bb5511", "#bb88ff", "#447788", "#ffff00", "#dd8800", "#44aa99", "#aaffff", "#88ccdd"];
/** Colour of points without a class. */
export const PLAIN = "#ffffff";

export const colourOf = (label) => (label === null ? PLAIN : COLOURS[label % COLOURS.length]);

/** Return true if points are drawn as letters: colours repeat, and the names are short enough. */
export const asLetters = (classes) => classes.length > COLOURS.length && classes.every((name) => [...name].length <= 2);
