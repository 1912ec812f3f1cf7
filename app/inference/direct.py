"""Run models in the calling thread, without an event loop and a queue.

The functions are those of `Engine`, so a program that uses a model in its own process computes what
the service answers with. Their coroutines never wait: `finish` runs one to its end.
"""

import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from numpy.typing import NDArray

from app.inference.batching import compute_rows
from app.inference.executor import Function
from app.inference.functions import ModelFunctions, check_finite
from app.inference.loaded_model import LoadedModel
from app.off_loop import NO_LOOP
from app.typing import Floats

T = TypeVar("T")


class DirectFunctions(ModelFunctions):
    """The functions of models, computed in the thread that calls them, one call at a time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    async def _run(
        self, model: LoadedModel, function: Function, *inputs: Floats
    ) -> tuple[NDArray[Any], ...]:
        """Compute all rows in this thread."""
        with self._turn:
            outputs = compute_rows(model, function, inputs)
        check_finite(model, function, outputs)
        return outputs


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that never waits; raises RuntimeError if it does."""
    token = NO_LOOP.set(True)
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        NO_LOOP.reset(token)
    coroutine.close()
    raise RuntimeError("the coroutine waits for an event loop")
