"""A whole flow as nodes of one ONNX graph.

Couplings depend on each other, so a call of its own for each costs more than its arithmetic. The two
halves of the dimensions are separate values between the first node and the last.
"""

import numpy as np
from numpy.typing import NDArray

from model_store.arithmetic.executors.onnx_operations import (
    add_function,
    add_linear,
    add_rounding,
)
from model_store.arithmetic.executors.scaling import scaled_layer
from model_store.arithmetic.factors import LARGEST_LEVEL, RAW_EXPONENT, factors
from model_store.arithmetic.onnx_file import DATA_TYPES, Graph
from model_store.arithmetic.program import Coupling, Dense, Floats, FlowMap

_INT32 = DATA_TYPES["int32"]


def add_flow(graph: Graph, flow: FlowMap, value: str) -> str:
    """Add the nodes of a flow and return the name of its result; see `FlowMap`."""
    places = [np.arange(parity, flow.latent, 2) for parity in (0, 1)]
    halves = [_gather(graph, value, each) for each in places]
    factors = []
    table = graph.constant(_table(inverse=flow.inverse))
    for coupling in reversed(flow.couplings) if flow.inverse else flow.couplings:
        results = _add_net(graph, coupling, halves[coupling.kept], flow.latent)
        raw, shift = graph.split(results, 2)
        index = graph.node("Cast", [add_rounding(graph, raw, LARGEST_LEVEL)], {"to": _INT32})
        factors.append(graph.node("Gather", [table, index]))
        changed = 1 - coupling.kept
        halves[changed] = _scale(graph, halves[changed], factors[-1], shift, inverse=flow.inverse)
    order = np.empty(flow.latent, np.int64)  # argsort would do, but is wrong in QEMU 7.2 with AVX2
    order[np.concatenate(places)] = np.arange(flow.latent)
    result = _gather(graph, graph.node("Concat", halves, {"axis": 1}), order)
    return result if flow.inverse else graph.node("Concat", [result, *factors], {"axis": 1})


def _scale(graph: Graph, value: str, factor: str, shift: str, *, inverse: bool) -> str:
    """Add a coupling's two operations on the dimensions that it changes."""
    if inverse:
        return graph.node("Mul", [graph.node("Sub", [value, shift]), factor])
    return graph.node("Add", [graph.node("Mul", [value, factor]), shift])


def _add_net(graph: Graph, coupling: Coupling, value: str, latent: int) -> str:
    """Add a net whose raw scales, the first half of the result, are in units of 2^-RAW_EXPONENT.

    The factor 2^RAW_EXPONENT belongs to the weights of the last layer if they stay finite.
    """
    *before, last = coupling.net
    changed = coupling.changed(latent)
    units = np.repeat(np.array([2.0**RAW_EXPONENT, 1], np.float32), changed)
    if isinstance(last, Dense) and last.exponent.min() >= 0:
        value, _ = add_function(graph, tuple(before), value, rank=2)
        weight, bias = scaled_layer(last, np.float32)
        return add_linear(graph, value, weight * units[:, None], bias * units)
    value, _ = add_function(graph, coupling.net, value, rank=2)
    value = graph.node("Mul", [value, graph.constant(units)])
    return graph.node("Add", [value, graph.constant(np.zeros_like(units))])  # turns -0 into 0


def _gather(graph: Graph, value: str, places: NDArray[np.int64]) -> str:
    """Take the dimensions at `places` from axis 1."""
    return graph.node("Gather", [value, graph.constant(places)], {"axis": 1})


def _table(*, inverse: bool) -> Floats:
    """Return the factors by raw scale in units of 2^-RAW_EXPONENT.

    A negative index counts from the end. The inverse uses the factor of the negated raw scale.
    """
    table = factors()[::-1] if inverse else factors()
    return np.roll(table, -LARGEST_LEVEL)
