"""Executors of exact functions: one call each, the same bytes from all.

executor = NumpyExecutor(function)      # or OnnxExecutor, TorchExecutor
result = executor(batch)                # float32 in, float32 out, the batch first
"""

from typing import Protocol

from model_store.arithmetic.program import Floats


class Executor(Protocol):
    """Runs one function of an exact network on batches of any size."""

    def __call__(self, batch: Floats) -> Floats:
        """Return the function's result for each row; float32, new memory."""
        ...
