"""Write a version for programs without zserve.

    onnx_exact    an exact version as ONNX graphs that give the bytes of the service; no torch
    onnx_float    a float version as ONNX graphs
    torch_module  any version as a file of plain PyTorch and a file of weights
    metadata      what a graph says about itself
    cli           the command `export`

Inputs and outputs have the same names and types in every graph:

    encoder.onnx  image (uint8: batch, channels, height, width) -> mu, logvar (batch, latent)
    flow.onnx     mu -> latents (batch, latent); only if the prior is a flow
    decoder.onnx  latents ~ N(0, I) (batch, latent) -> image (uint8)
"""
