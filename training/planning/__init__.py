"""Choose a preset for a folder of images: numbers in, a preset and its reasons out."""
