"""CUDA graphs: find out if a GPU is usable, and capture functions as graphs.

    reason = unusable_reason()            # None if a GPU works
    decode = capture(function, shapes)    # warmed up and captured for inputs of these shapes
    (images,) = decode(z)                 # arrays in host memory in and out

A graph reads and writes the same memory each time, so a batch is copied

    array -> pinned host memory -> static inputs -> graph -> static outputs -> pinned -> new array

on one stream. The call returns after an event behind the last copy, so no buffer is touched while
it is being copied. A captured function must be called by one thread at a time. Functions of
different models may be called by different threads, also while one of these captures.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from app.typing import Floats

DEVICE = torch.device("cuda")
_WARM_UP_RUNS = 3
"""Number of runs before a capture, in which libraries choose kernels and allocate memory."""


class StaticFunction:
    """A function with fixed input and output tensors, called with arrays in host memory.

    `compute` fills the tensors `outputs` from the tensors `inputs`, on `stream` if they are on a
    GPU.
    """

    def __init__(
        self,
        compute: Callable[[], object],
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        stream: torch.cuda.Stream | None = None,
    ) -> None:
        self._compute = compute
        self._inputs = inputs
        self._outputs = outputs
        self._stream = stream
        self._host_inputs = [_host_buffer(tensor) for tensor in inputs]
        self._host_outputs = [_host_buffer(tensor) for tensor in outputs]

    @torch.inference_mode()
    def __call__(self, *arrays: Floats) -> list[Floats]:
        """Return one new array for each output.

        Raises ValueError if an array does not have the shape of its input; a copy would broadcast it.
        """
        _check_shapes(arrays, self._inputs)
        for buffer, array in zip(self._host_inputs, arrays, strict=True):
            buffer.copy_(torch.from_numpy(array))
        try:
            with torch.cuda.stream(self._stream):
                _copy_all(self._host_inputs, self._inputs)
                self._compute()
                _copy_all(self._outputs, self._host_outputs)
        finally:
            self._wait()
        return [buffer.numpy().copy() for buffer in self._host_outputs]

    def _wait(self) -> None:
        if self._stream is not None:
            self._stream.record_event().synchronize()


@torch.inference_mode()
def capture(
    function: Callable[..., Sequence[Tensor]], shapes: Sequence[tuple[int, ...]]
) -> StaticFunction:
    """Warm a function up and capture it for inputs of these shapes; needs a GPU.

    Everything else that the function reads, such as weights, must stay alive and at its address.
    Raises RuntimeError if the GPU cannot do it, for example because its memory is full.
    """
    stream = _stream()
    stream.wait_stream(torch.cuda.current_stream())  # the current stream may still fold weights
    with torch.cuda.stream(stream):
        inputs = [torch.zeros(shape, device=DEVICE) for shape in shapes]
        for _ in range(_WARM_UP_RUNS):
            function(*inputs)
    graph = torch.cuda.CUDAGraph()
    # Capture on another stream than the one above, to which another thread may submit a batch. CUDA
    # calls of other threads must not fail during a capture, so errors are limited to this thread.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outputs = function(*inputs)
    return StaticFunction(graph.replay, inputs, outputs, stream)


@functools.cache
def unusable_reason() -> str | None:
    """Return in one line why no GPU can be used; None if one captures and computes correctly.

    The result is kept for the life of the process. Do not call it before a fork.
    """
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        _check_arithmetic()
    except Exception as error:  # noqa: BLE001 - a broken driver may raise anything
        lines = str(error).splitlines() or [type(error).__name__]
        return lines[0].rstrip(". ")
    return None


@functools.cache
def _stream() -> torch.cuda.Stream:
    """Return the stream of all graphs, which share library workspaces and so must not overlap."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def _check_arithmetic() -> None:
    """Raise RuntimeError if a convolution or matrix product of integers gives a wrong result."""
    with torch.inference_mode():
        layers = nn.Sequential(nn.Conv2d(1, 1, 3, bias=False), nn.Flatten(), nn.Linear(4, 2))
        for parameter in layers.parameters():
            parameter.fill_(1.0)
        layers.to(DEVICE)
    (output,) = capture(lambda x: (layers(x),), [(2, 1, 4, 4)])(np.ones((2, 1, 4, 4), np.float32))
    if not np.allclose(output, 4 * 9 + 1):
        raise RuntimeError(f"the GPU computes {output.ravel().tolist()}; every value should be 37")


def _host_buffer(tensor: Tensor) -> Tensor:
    """Allocate host memory for a tensor; pinned if the tensor is on a GPU, for asynchronous copies."""
    return torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)


def _copy_all(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source, non_blocking=True)


def _check_shapes(arrays: Sequence[Floats], inputs: Sequence[Tensor]) -> None:
    shapes = [array.shape for array in arrays]
    expected = [tuple(tensor.shape) for tensor in inputs]
    if shapes != expected:
        raise ValueError(f"the inputs have the shapes {shapes}; they were captured for {expected}")
