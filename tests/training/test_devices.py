import pytest
import torch

from training.devices import count_operations, has_bfloat16, idle_threads, prepare_torch

CPU = torch.device("cpu")


def test_a_number_of_threads_that_is_given_is_set():
    threads = prepare_torch(3)
    assert (torch.get_num_threads(), threads.number, threads.as_set) == (3, 3, True)


def test_a_single_core_needs_no_probe():
    torch.set_num_threads(1)
    threads = prepare_torch(None)
    assert (threads.number, threads.cores, threads.as_set) == (1, 1, False)


@pytest.mark.parametrize(
    ("operations", "chosen"),
    [
        ({8: 800, 4: 400, 2: 200, 1: 100}, 8),
        ({8: 3, 4: 12, 2: 190, 1: 100}, 2),  # six of eight cores are busy
        ({8: 3, 4: 5, 2: 7, 1: 100}, 1),
        ({1: 100}, 1),
    ],
)
def test_threads_that_stall_are_not_used(operations: dict[int, int], chosen: int):
    assert idle_threads(max(operations), operations.__getitem__) == chosen


def test_operations_are_counted_on_the_threads_that_are_tried():
    assert count_operations(1) > 0
    assert torch.get_num_threads() == 1


def test_bfloat16_is_not_offered_if_pytorch_is_limited_to_avx2(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True, "avx2": True})
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    assert not has_bfloat16(CPU)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX512")
    assert has_bfloat16(CPU)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": False, "avx2": True})
    assert not has_bfloat16(CPU)
