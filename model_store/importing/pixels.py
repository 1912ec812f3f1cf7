"""Bring graphs whose pixels are in [-1, 1] to pixels in [0, 1]."""

from dataclasses import replace

import numpy as np

from model_store.graphs.graph import Array, Node, OnnxGraph

_SAME_VALUES = frozenset(
    {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
"""Operators that move values and do not change them."""


def ends_in_tanh(graph: OnnxGraph) -> bool:
    """Return True if the values of the first output are those of a tanh."""
    producers = {output: node for node in graph.nodes for output in node.outputs}
    node = producers.get(graph.outputs[0].name)
    while node is not None and node.operator in _SAME_VALUES and node.inputs:
        node = producers.get(node.inputs[0])
    return node is not None and node.operator == "Tanh"


def taking_unit(graph: OnnxGraph) -> OnnxGraph:
    """Return an encoder that takes images x in [0, 1], and passes 2 x - 1 on to `graph`."""
    source = graph.inputs[0]
    names = _free_names(graph, 4)
    taken, doubled, two, one = names
    nodes = (
        Node("Mul", (taken, two), (doubled,), {}),
        Node("Sub", (doubled, one), (source.name,), {}),
    )
    constants = {two: _number(2), one: _number(1)}
    return replace(
        graph,
        nodes=(*nodes, *graph.nodes),
        constants={**graph.constants, **constants},
        inputs=(replace(source, name=taken),),
    )


def giving_unit(graph: OnnxGraph) -> OnnxGraph:
    """Return a decoder that gives (x + 1) / 2 for each image x in [-1, 1] that `graph` gives."""
    (output,) = graph.outputs
    result, raised, one, half = _free_names(graph, 4)
    nodes = (
        Node("Add", (output.name, one), (raised,), {}),
        Node("Mul", (raised, half), (result,), {}),
    )
    constants = {one: _number(1), half: _number(0.5)}
    return replace(
        graph,
        nodes=(*graph.nodes, *nodes),
        constants={**graph.constants, **constants},
        outputs=(replace(output, name=result),),
    )


def _free_names(graph: OnnxGraph, number: int) -> list[str]:
    """Return names that no value of a graph has."""
    used = {name for node in graph.nodes for name in (*node.inputs, *node.outputs)}
    used |= {value.name for value in (*graph.inputs, *graph.outputs)} | graph.constants.keys()
    free: list[str] = []
    place = 0
    while len(free) < number:
        name = f"pixels{place}"
        free += [] if name in used else [name]
        place += 1
    return free


def _number(value: float) -> Array:
    return np.array([value], np.float32)
