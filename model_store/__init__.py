"""Models: their description, their files and their networks. Depends on neither HTTP nor training.

spec, errors       values that describe a model, and the domain errors
class_latents      Gaussian mixtures of the latents of each class
preprocessing      images -> arrays of a model's form; for uploads and for training
digit              the one digit on a drawing or a photograph
resampling         sizes of images, with integers alone
typicality         how typical an image is of the data of a version
weight_shapes      names, shapes and types of the weights that a spec requires
durable_files      writing files that survive a crash
store              versions, aliases and checksums, in a folder or an object store
vae                networks, flow prior, likelihoods; the only part that needs torch
"""
