"""Hashes of a model's results for fixed inputs, computed on this machine.

For an exact version they must be the golden hashes that were published with it. For a float version
they distinguish machines whose results have different bits.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.inference.executor import Executor, Function
from app.typing import Floats
from model_store.arithmetic.model import fixed_inputs, hash_arrays
from model_store.preprocessing import from_bytes
from model_store.spec import ModelSpec


def result_hashes(executor: Executor, spec: ModelSpec) -> dict[Function, str]:
    """Return the SHA-256 of each function's results for the fixed inputs."""
    levels, u = fixed_inputs(spec)
    x = from_bytes(levels)
    inputs: Mapping[Function, Sequence[Floats]] = {
        "encode": [x],
        "decode": [u],
        "to_u": [u],
        "to_z": [u],
        "log_likelihood": [x, u],
    }
    hashes: dict[Function, str] = {}
    for function in executor.input_shapes:
        hashes[function] = hash_arrays(_run(executor, function, inputs[function]))
    return hashes


def combined(hashes: Mapping[Function, str]) -> str:
    """Return one short hash of the hashes of all functions."""
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:16]


def _run(executor: Executor, function: Function, inputs: Sequence[Floats]) -> list[NDArray[Any]]:
    """Run a function; executors that are not exact get a batch filled up with zeros."""
    rows = len(inputs[0])
    if not executor.exact:
        missing = executor.reference_batch - rows
        inputs = [np.pad(each, [(0, missing)] + [(0, 0)] * (each.ndim - 1)) for each in inputs]
    return [output[:rows] for output in executor.run(function, inputs)]
