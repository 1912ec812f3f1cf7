"""A GPU for the engine: whether one can be used, and functions as captured graphs.

    reason = fault()                      # None where a GPU works
    decode = capture(function, shapes)    # warmed up and captured, for tiles of these shapes
    (images,) = decode(z)                 # arrays of the host in and out

A graph reads and writes the same memory each time, so a tile goes

    array -> pinned host memory -> static inputs -> graph -> static outputs -> pinned -> new array

on one stream, and the call returns when an event behind the last copy has passed: no buffer is
touched while a copy of it is under way. A function is called by one thread at a time; functions
of different models may be called by different threads, one of which captures.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Floats = NDArray[np.float32]

DEVICE = torch.device("cuda")
_WARM_UPS = 3
"""Runs before the capture, in which libraries choose kernels and take memory."""


class StaticTile:
    """A function between tensors that stay where they are; takes and gives arrays of the host.

    `compute` fills `outputs` from `inputs`, on `stream` where they lie on a GPU.
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
        self._given = [_on_the_host(tensor) for tensor in inputs]
        self._taken = [_on_the_host(tensor) for tensor in outputs]

    @torch.inference_mode()
    def __call__(self, *tile: Floats) -> list[Floats]:
        """One array for each input, of its shape -> one new array for each output.

        Raises ValueError for other shapes, which would be broadcast.
        """
        _check_shapes(tile, self._inputs)
        for given, values in zip(self._given, tile, strict=True):
            given.copy_(torch.from_numpy(values))
        try:
            with torch.cuda.stream(self._stream):
                _copy_all(self._given, self._inputs)
                self._compute()
                _copy_all(self._outputs, self._taken)
        finally:
            self._wait()
        return [taken.numpy().copy() for taken in self._taken]

    def _wait(self) -> None:
        if self._stream is not None:
            self._stream.record_event().synchronize()


@torch.inference_mode()
def capture(
    function: Callable[..., Sequence[Tensor]], shapes: Sequence[tuple[int, ...]]
) -> StaticTile:
    """Warm the function up and capture it for inputs of these shapes; needs a GPU.

    What the function reads besides, such as weights, must stay alive and in its place. Raises
    RuntimeError where the GPU cannot do it, for want of memory for example.
    """
    stream = _stream()
    stream.wait_stream(torch.cuda.current_stream())  # which may still be folding weights
    with torch.cuda.stream(stream):
        inputs = [torch.zeros(shape, device=DEVICE) for shape in shapes]
        for _ in range(_WARM_UPS):
            function(*inputs)
    graph = torch.cuda.CUDAGraph()
    # Not on the stream above: another thread may put a tile there, which must not be captured.
    # For the same reason what other threads do is no error.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outputs = function(*inputs)
    return StaticTile(graph.replay, inputs, outputs, stream)


@functools.cache
def fault() -> str | None:
    """Why no GPU can be used, in one line; None where one captures, computes and is right.

    Looks once in a process. It must not be called before a fork.
    """
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        _try_out()
    except Exception as error:  # noqa: BLE001 - whatever a broken driver raises is the reason
        lines = str(error).splitlines() or [type(error).__name__]
        return lines[0].rstrip(". ")
    return None


@functools.cache
def _stream() -> torch.cuda.Stream:
    """The stream of all work, so that graphs which share a library's workspace never overlap."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def _try_out() -> None:
    """A convolution and a product of whole numbers; raises RuntimeError where they are wrong."""
    with torch.inference_mode():
        layers = nn.Sequential(nn.Conv2d(1, 1, 3, bias=False), nn.Flatten(), nn.Linear(4, 2))
        for parameter in layers.parameters():
            parameter.fill_(1.0)
        layers.to(DEVICE)
    (found,) = capture(lambda x: (layers(x),), [(2, 1, 4, 4)])(np.ones((2, 1, 4, 4), np.float32))
    if not np.allclose(found, 4 * 9 + 1):
        raise RuntimeError(f"the GPU computes {found.ravel().tolist()} where all should be 37")


def _on_the_host(tensor: Tensor) -> Tensor:
    """Memory like the tensor's; pinned where that is on a GPU, so that copies are asynchronous."""
    return torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)


def _copy_all(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source, non_blocking=True)


def _check_shapes(tile: Sequence[Floats], inputs: Sequence[Tensor]) -> None:
    found = [values.shape for values in tile]
    expected = [tuple(tensor.shape) for tensor in inputs]
    if found != expected:
        raise ValueError(f"the tile's shapes are {found}, it was captured for {expected}")
