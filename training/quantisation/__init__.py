"""From a trained VAE to an exact network: integers, levels and certified scales.

quantise   the whole network, layer after layer, on calibration images
layers     one layer: the finest integers whose sums stay exact
"""

from training.quantisation.quantise import quantise

__all__ = ["quantise"]
