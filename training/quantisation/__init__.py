"""Make an exact network from a trained VAE: integers, levels and certified scales.

quantise     the whole network, layer after layer, on calibration images
layers       one layer: the finest integers whose sums stay exact
pixel_table  counts of grey levels, for compression
"""

from training.quantisation.quantise import quantise

__all__ = ["quantise"]
