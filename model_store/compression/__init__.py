"""Lossless compression of images by a model, the same bytes on every machine.

codec      images <-> file: bits back with ANS
container  the file's format
ans        the entropy coder
gaussian   distributions of latents, as integers
pixels     distributions of pixels, as integers
posterior  q(z | x) of a batch of images, on the grid of latents
"""
