"""The judge: a classifier that measures generated images."""
