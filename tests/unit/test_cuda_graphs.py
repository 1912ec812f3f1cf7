import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from app.inference import cuda_graphs

on_a_gpu = pytest.mark.skipif(
    cuda_graphs.unusable_reason() is not None, reason=f"no GPU: {cuda_graphs.unusable_reason()}"
)
without_a_gpu = pytest.mark.skipif(
    cuda_graphs.unusable_reason() is None, reason="there is a GPU here"
)


def a_network(device: str = "cpu") -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 40), nn.ReLU(), nn.Linear(40, 5)).to(device)


def static_function(network: nn.Module, rows: int = 4) -> cuda_graphs.StaticFunction:
    """Return a static function on the CPU: the mean and the network's output of a batch."""
    x, mean, y = torch.zeros(rows, 3), torch.zeros(rows), torch.zeros(rows, 5)

    def compute() -> None:
        mean.copy_(x.mean(dim=1))
        y.copy_(network(x))

    return cuda_graphs.StaticFunction(compute, [x], [mean, y])


def batches(count: int, rows: int = 4) -> list[np.ndarray]:
    return list(np.random.default_rng(0).random((count, rows, 3), np.float32))


def test_a_static_function_computes_what_its_function_does() -> None:
    network = a_network()
    run = static_function(network)
    for x in batches(3):
        mean, y = run(x)
        assert np.allclose(mean, x.mean(axis=1))
        assert np.allclose(y, network(torch.from_numpy(x)).detach().numpy())


def test_the_next_call_overwrites_neither_inputs_nor_outputs_of_the_last() -> None:
    run = static_function(a_network())
    first, second = batches(2)
    first_before = first.copy()
    outputs = run(first)
    outputs_before = [array.copy() for array in outputs]
    run(second)
    assert np.array_equal(first, first_before)
    for array, before in zip(outputs, outputs_before, strict=True):
        assert np.array_equal(array, before)


@pytest.mark.parametrize("wrong", [(1, 3), (4, 1), (5, 3), (4, 3, 1)])
def test_an_input_of_another_shape_is_refused_rather_than_broadcast(wrong: tuple[int, ...]) -> None:
    run = static_function(a_network())
    with pytest.raises(ValueError, match=r"captured for \[\(4, 3\)\]"):
        run(np.zeros(wrong, np.float32))


def test_an_error_while_computing_leaves_the_function_usable() -> None:
    broken = [True]
    y = torch.zeros(2)

    def compute() -> None:
        if broken[0]:
            raise RuntimeError("this time it fails")
        y.fill_(7.0)

    run = cuda_graphs.StaticFunction(compute, [], [y])
    with pytest.raises(RuntimeError, match="this time it fails"):
        run()
    broken[0] = False
    assert np.array_equal(run()[0], [7.0, 7.0])


@without_a_gpu
def test_the_reason_why_there_is_no_gpu_is_one_line() -> None:
    reason = cuda_graphs.unusable_reason()
    assert reason
    assert "\n" not in reason


@on_a_gpu
def test_a_captured_graph_computes_what_its_function_does() -> None:
    network = a_network("cuda")
    run = cuda_graphs.capture(as_tuple(network), [(16, 3)])
    for x in batches(5, rows=16):
        (y,) = run(x)
        expected = network(torch.from_numpy(x).cuda()).detach().cpu().numpy()
        assert np.allclose(y, expected, atol=1e-6)


@on_a_gpu
def test_two_captures_of_one_function_give_the_same_bytes() -> None:
    network = a_network("cuda")
    runs = [cuda_graphs.capture(as_tuple(network), [(16, 3)]) for _ in range(2)]
    for x in batches(5, rows=16):
        assert runs[0](x)[0].tobytes() == runs[1](x)[0].tobytes()


@on_a_gpu
def test_capturing_a_graph_does_not_change_the_bytes_of_one_that_runs() -> None:
    network = a_network("cuda")
    run = cuda_graphs.capture(as_tuple(network), [(16, 3)])
    (x,) = batches(1, rows=16)
    expected = run(x)[0].tobytes()
    stop = threading.Event()
    wrong: list[object] = []

    def keep_running() -> None:
        try:
            while not stop.is_set():
                if run(x)[0].tobytes() != expected:
                    wrong.append("bytes")
        except RuntimeError as error:
            wrong.append(error)

    running = threading.Thread(target=keep_running)
    running.start()
    try:
        others = [cuda_graphs.capture(as_tuple(network), [(16, 3)]) for _ in range(20)]
    finally:
        stop.set()
        running.join()
    assert not wrong
    assert all(other(x)[0].tobytes() == expected for other in others)


def as_tuple(network: nn.Module) -> Callable[[Tensor], tuple[Tensor]]:
    return lambda x: (network(x),)
