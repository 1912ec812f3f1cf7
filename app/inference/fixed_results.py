"""Results of a model for fixed inputs, as hashes: what this machine computes.

For an exact version they must be the golden hashes that were published with it. For a float version
they distinguish machines that compute other bits.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from app.inference.executor import Executor, Function
from app.typing import Floats
from model_store.arithmetic.model import fixed_inputs, hash_arrays
from model_store.preprocessing import from_bytes, to_bytes
from model_store.spec import ModelSpec


def result_hashes(executor: Executor, spec: ModelSpec) -> dict[Function, str]:
    """Return function -> SHA-256 of its results for the fixed inputs.

    Images of an exact executor are hashed as grey levels, as in golden.json.
    """
    levels, u = fixed_inputs(spec)
    x = from_bytes(levels)
    inputs: Mapping[Function, Sequence[Floats]] = {
        "encode": [x],
        "decode": [u],
        "to_u": [u],
        "log_likelihood": [x, u],
    }
    hashes: dict[Function, str] = {}
    for function in executor.input_shapes:
        outputs = _run(executor, function, inputs[function])
        if executor.exact and function == "decode":
            hashes[function] = hash_arrays([to_bytes(images) for images in outputs])
        else:
            hashes[function] = hash_arrays(outputs)
    return hashes


def combined(hashes: Mapping[Function, str]) -> str:
    """Return one short hash of the hashes of all functions."""
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:16]


def _run(executor: Executor, function: Function, inputs: Sequence[Floats]) -> list[Floats]:
    """Run a function; executors that are not exact get a batch filled up with zeros."""
    rows = len(inputs[0])
    if not executor.exact:
        missing = executor.reference_batch - rows
        inputs = [np.pad(each, [(0, missing)] + [(0, 0)] * (each.ndim - 1)) for each in inputs]
    return [output[:rows] for output in executor.run(function, inputs)]
