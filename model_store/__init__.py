"""What a model is and how it is kept. Knows neither HTTP nor training.

spec, errors         descriptions and domain errors; importable without torch
class_latents        Gaussian mixtures of labelled latents; numpy only
vae                  networks, prior and likelihoods; needs torch
store                versions, aliases and checksums in a folder
"""
