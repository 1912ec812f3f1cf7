"""Exact versions as ONNX graphs: the integers of the service, between images of 8 bits and latents.

The graphs are those that the service runs, with operators of ONNX alone. A runtime that adds float32
numbers by IEEE 754 gives the bytes of the service; see docs/arithmetic.md. One that computes in 16
bits, as some accelerators of phones and browsers do, does not.
"""

import numpy as np

from model_store.arithmetic.executors.onnx_flow import add_flow
from model_store.arithmetic.executors.onnx_operations import add_function, add_rounding
from model_store.arithmetic.likelihood import LIMIT, grey_table
from model_store.arithmetic.onnx_file import DATA_TYPES, Graph, Value
from model_store.arithmetic.program import ExactNetwork, FlowMap
from model_store.exporting.metadata import metadata
from model_store.spec import Manifest, ModelSpec


def exact_graphs(network: ExactNetwork, manifest: Manifest) -> dict[str, bytes]:
    """Return the files of an exact network: name -> content of encoder.onnx, decoder.onnx, flow.onnx.

    flow.onnx is there only if the prior is a flow.
    """
    spec = manifest.spec
    latents = (spec.latent,)
    files = {
        "encoder.onnx": _encoder(network, spec).file(
            "encoder",
            [Value("image", "uint8", spec.image.shape)],
            [Value("mu", "float32", latents), Value("logvar", "float32", latents)],
            metadata(manifest, "encoder"),
        ),
        "decoder.onnx": _decoder(network, spec).file(
            "decoder",
            [Value("latents", "float32", latents)],
            [Value("image", "uint8", spec.image.shape)],
            metadata(manifest, "decoder"),
        ),
    }
    if network.flow:
        files["flow.onnx"] = _flow(network, spec).file(
            "flow",
            [Value("mu", "float32", latents)],
            [Value("latents", "float32", latents)],
            metadata(manifest, "flow"),
        )
    return files


def _encoder(network: ExactNetwork, spec: ModelSpec) -> Graph:
    """Return the graph from grey levels to mu and logvar of q(z | x)."""
    graph = Graph(portable=True)
    value = graph.node("Cast", ["image"], {"to": DATA_TYPES["float32"]})
    value, _ = add_function(graph, network.encode, value, rank=4)
    zero = graph.constant(np.zeros((), np.float32))
    mu, logvar = graph.split(graph.node("Add", [value, zero]), 2)  # the addition turns -0 into 0
    graph.node("Identity", [mu], output="mu")
    if spec.logvar_bound is None:
        graph.node("Identity", [logvar], output="logvar")
    else:
        bound = np.float32(spec.logvar_bound)
        limits = [graph.constant(np.array(limit, np.float32)) for limit in (-bound, bound)]
        graph.node("Clip", [logvar, *limits], output="logvar")
    return graph


def _decoder(network: ExactNetwork, spec: ModelSpec) -> Graph:
    """Return the graph from latents ~ N(0, I) to grey levels."""
    graph = Graph(portable=True)
    value = "latents"
    if network.flow:
        value = add_flow(graph, FlowMap(network.flow, spec.latent, inverse=True), value)
    value, _ = add_function(graph, network.decode, value, rank=2)
    index = graph.node("Cast", [add_rounding(graph, value, LIMIT)], {"to": DATA_TYPES["int32"]})
    table = graph.constant(np.roll(grey_table(), -LIMIT))  # a negative index counts from the end
    graph.node("Gather", [table, index], output="image")
    return graph


def _flow(network: ExactNetwork, spec: ModelSpec) -> Graph:
    """Return the graph from z of q(z | x) to latents u."""
    graph = Graph(portable=True)
    value = add_flow(graph, FlowMap(network.flow, spec.latent, inverse=False), "mu")
    first = graph.constant(np.arange(spec.latent))  # the factors of the couplings follow
    graph.node("Gather", [value, first], {"axis": 1}, output="latents")
    return graph
