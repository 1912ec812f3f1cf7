"""Executors of exact functions: one interface, and the same bytes from every executor.

executor = NumpyExecutor(function)      # or OnnxExecutor, TorchExecutor
result = executor(batch)                # float32 in and out; the first axis is the batch
"""

from typing import Protocol

from model_store.arithmetic.program import Floats


class Executor(Protocol):
    """Runs one function of an exact network on batches of any size."""

    def __call__(self, batch: Floats) -> Floats:
        """Return the function's result for each row: a new float32 array, (batch, ...)."""
        ...
