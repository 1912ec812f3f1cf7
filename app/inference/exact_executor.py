"""Run exact versions without PyTorch, by ONNX Runtime or numpy.

Both give the same bytes. Each function of a model is timed when it is loaded, and runs in the library
that is faster on this machine.
"""

import timeit
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.inference.executor import Function
from app.typing import Floats
from model_store.arithmetic.executors import Executor as FunctionExecutor
from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.executors.onnx_executor import OnnxExecutor
from model_store.arithmetic.executors.onnx_runtime import onnxruntime
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import Convolution, Deconvolution, FlowMap
from model_store.arithmetic.program import Function as Program
from model_store.preprocessing import to_bytes

BATCHES = (16, 32, 64)
"""Numbers of rows from which the largest batch on a CPU is chosen."""

LIBRARIES = f"onnxruntime-{onnxruntime.__version__}-numpy-{np.__version__}"

_TIMED_ROWS = BATCHES[0]
_TIMED_RUNS = 5


class ExactExecutor:
    """The functions of an exact model between images in [0, 1], latents and nats.

    Images are rounded to grey levels, the inputs and outputs of exact functions.
    """

    exact = True

    def __init__(
        self,
        model: ExactModel,
        name: str = LIBRARIES,
        *,
        batches: Sequence[int] = BATCHES,
        always_off_loop: bool = False,
        with_to_z: bool = False,
    ) -> None:
        self.name = name
        self.reference_batch, *self.other_batches = batches
        self.always_off_loop = always_off_loop
        self._model = model
        x, z = model.spec.image.shape, (model.spec.latent,)
        shapes: dict[Function, list[tuple[int, ...]]] = {
            "encode": [x],
            "decode": [z],
            "log_likelihood": [x, z],
        }
        if model.flow is not None:
            shapes["to_u"] = [z]
            if with_to_z:
                shapes["to_z"] = [z]
        self.input_shapes: Mapping[Function, Sequence[tuple[int, ...]]] = shapes

    def run(self, function: Function, inputs: Sequence[Floats]) -> Sequence[NDArray[Any]]:
        """Compute one batch of any size; returns new arrays, (batch, ...)."""
        model, first = self._model, inputs[0]
        match function:
            case "encode" | "posterior":
                encode = model.encode if function == "encode" else model.posterior
                return encode(to_bytes(first))
            case "decode":
                return [model.decode(first)]
            case "to_u" | "to_z":
                return [model.to_u(first) if function == "to_u" else model.to_z(first)]
            case "log_likelihood":
                return [model.log_likelihood(to_bytes(first), inputs[1])]
            case "log_joint":
                return model.log_joint(to_bytes(first), inputs[1])


def fastest(program: Program, shape: Sequence[int], threads: int = 1) -> FunctionExecutor:
    """Time ONNX Runtime and numpy, and return the executor that is faster; inputs (batch, *shape).

    numpy is tried for functions of linear layers only: its convolutions are slow, and a flow, which has
    many small operations, takes it 2.7 to 5 times as long as ONNX Runtime.
    """
    onnx = OnnxExecutor(program, shape, threads)
    if any(isinstance(operation, Convolution | Deconvolution | FlowMap) for operation in program):
        return onnx
    executors: tuple[FunctionExecutor, ...] = (onnx, NumpyExecutor(program, np.float32))
    batch = np.zeros((_TIMED_ROWS, *shape), np.float32)
    return min(executors, key=lambda each: _seconds(each, batch))


def _seconds(executor: FunctionExecutor, batch: Floats) -> float:
    return min(timeit.repeat(partial(executor, batch), number=1, repeat=_TIMED_RUNS))
