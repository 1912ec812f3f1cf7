"""Publish a model that was made elsewhere, without its code.

detection  what a pair of ONNX graphs takes and gives, by their shapes and by running them
layouts    the weights of networks of tutorials -> a network of the store
keras      the weights of Keras' VAE example -> ONNX graphs
card       card and record of an imported version
cli        the command `import`
"""
