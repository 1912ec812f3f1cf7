"""Publish a model that was made elsewhere, without its code.

detection    what a pair of ONNX graphs takes and gives, by their shapes and by running them
layouts      the weights of networks of tutorials -> a network of the store
keras        the weights of Keras' VAE example -> ONNX graphs
pytorch_vae  the weights of PyTorch-VAE's convolutions -> ONNX graphs
building     ONNX graphs, built layer by layer
state_dict   the tensors of a network of PyTorch, one by one
pixels       graphs of pixels in [-1, 1] -> graphs of pixels in [0, 1]
files        read the files of a user: regular files of bounded size
card         card and record of an imported version
cli          the command `import`
"""
