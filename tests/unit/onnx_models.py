"""Small encoders and decoders, as programs of others export them, written by the package `onnx`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PIXELS, LATENT = 16, 3
IMAGE = (1, 4, 4)

Array = np.ndarray[Any, Any]
Sides = Sequence[str | int | None]


def weights(seed: int = 0) -> dict[str, Array]:
    """Return weights of linear layers: 16 pixels -> 2 x 3 latents, 3 latents -> 16 pixels."""
    generator = np.random.default_rng(seed)
    shapes = {"mu_w": (PIXELS, LATENT), "lv_w": (PIXELS, LATENT), "dec_w": (LATENT, PIXELS)}
    arrays = {k: generator.normal(0, 0.4, shape).astype(np.float32) for k, shape in shapes.items()}
    return arrays | {"dec_b": np.linspace(-1, 1, PIXELS, dtype=np.float32)}


def model(
    nodes: Sequence[Any],
    inputs: dict[str, Sides],
    outputs: dict[str, Sides],
    constants: dict[str, Array],
    *,
    opset: int = 17,
    domain: str = "",
) -> bytes:
    """Return the file of a graph of float32 values."""
    taken, made = (
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, list(v)) for k, v in each.items()]
        for each in (inputs, outputs)
    )
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "g", taken, made, tensors)
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid(domain, 1)] if domain else []
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return bytes(proto.SerializeToString())


def encoder(*, layout: Sides = ("n", *IMAGE), joined: bool = False) -> bytes:
    """Return an encoder of two linear layers, with mu and logvar in two outputs or joined in one."""
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "mu_w"], ["mu"]),
        helper.make_node("MatMul", ["flat", "lv_w"], ["logvar"]),
    ]
    outputs: dict[str, Sides] = {"mu": ("n", LATENT), "logvar": ("n", LATENT)}
    if joined:
        nodes.append(helper.make_node("Concat", ["mu", "logvar"], ["both"], axis=1))
        outputs = {"both": ("n", 2 * LATENT)}
    constants = {name: weights()[name] for name in ("mu_w", "lv_w")}
    return model(nodes, {"x": layout}, outputs, constants)


def decoder(*, last: str = "Sigmoid", shape: Sequence[int] = IMAGE) -> bytes:
    """Return a decoder of one linear layer, whose last operator is `last`."""
    nodes = [
        helper.make_node("Gemm", ["z", "dec_w", "dec_b"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["logits"]),
        helper.make_node(last, ["logits"], ["image"]),
    ]
    constants = {name: weights()[name] for name in ("dec_w", "dec_b")}
    constants["shape"] = np.array([-1, *shape], np.int64)
    return model(nodes, {"z": ("n", LATENT)}, {"image": ("n", *shape)}, constants)


def expected_mean(z: Array) -> Array:
    """Return the images that the decoder gives, (batch, 1, 4, 4)."""
    logits = z @ weights()["dec_w"] + weights()["dec_b"]
    mean: Array = (1 / (1 + np.exp(-logits))).reshape(-1, *IMAGE)
    return mean


def expected_posterior(x: Array) -> tuple[Array, Array]:
    """Return mu and logvar that the encoder gives."""
    flat = x.reshape(len(x), -1)
    return flat @ weights()["mu_w"], flat @ weights()["lv_w"]


def changed(content: bytes, change: Any) -> bytes:
    """Return a file after a function has changed its ModelProto."""
    proto = onnx.load_from_string(content)
    change(proto)
    return bytes(proto.SerializeToString())


def write(folder: Path, encoder_file: bytes, decoder_file: bytes) -> list[str]:
    """Write both files, and return the arguments that import them as `mine`."""
    paths = folder / "enc.onnx", folder / "dec.onnx"
    for path, content in zip(paths, (encoder_file, decoder_file), strict=True):
        path.write_bytes(content)
    return ["--encoder", str(paths[0]), "--decoder", str(paths[1]), "--name", "mine"]
