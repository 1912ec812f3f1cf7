"""Choose the device to compute on and configure PyTorch for it.

PyTorch is imported inside of the functions: the command line offers `Device` as an option, and
`--help` should not take seconds.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from training.errors import DeviceError

if TYPE_CHECKING:
    import torch

PROBE_S = 0.1
"""Time (s) for which each number of threads is tried."""
PROBE_VALUES = 1 << 17
"""Values of one operation of the probe: about 0.1 ms, like the operations of a training step."""


class Device(StrEnum):
    """Device to compute on; `auto` is the GPU if there is one, else the CPU."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def choose_device(device: Device) -> "torch.device":
    """Return the device to compute on; raises DeviceError if a GPU is requested but missing."""
    import torch  # noqa: PLC0415 - see the module's docstring

    available = torch.cuda.is_available()
    if device is Device.CUDA and not available:
        raise DeviceError(
            "--device cuda: PyTorch sees no GPU on this machine; use --device cpu or auto"
        )
    return torch.device("cuda" if available and device is not Device.CPU else "cpu")


@dataclass(frozen=True)
class Threads:
    """The number of CPU threads that PyTorch uses, and where the number comes from."""

    number: int
    cores: int
    """Threads that PyTorch starts by default: one per core, or OMP_NUM_THREADS."""
    as_set: bool
    """True if the user gave the number."""


def prepare_torch(threads: int | None) -> Threads:
    """Set the number of CPU threads and flush denormal numbers.

    If `threads` is None, PyTorch's default is used, or fewer if the cores are busy: threads that
    wait for each other on busy cores are many times slower than a single one.
    """
    import torch  # noqa: PLC0415 - see the module's docstring

    # Adam's moments of pixels that are always black decay into denormal numbers, which are slow
    torch.set_flush_denormal(True)
    cores = torch.get_num_threads()
    number = idle_threads(cores) if threads is None else threads
    torch.set_num_threads(number)
    return Threads(number, cores, as_set=threads is not None)


def count_operations(threads: int) -> int:
    """Count the short operations that this number of threads computes in PROBE_S."""
    import torch  # noqa: PLC0415 - see the module's docstring

    torch.set_num_threads(threads)
    values = torch.ones(PROBE_VALUES)
    torch.exp(values)  # starts the threads
    operations, started = 0, time.perf_counter()
    while time.perf_counter() - started < PROBE_S:
        torch.exp(values)
        operations += 1
    return operations


def idle_threads(most: int, count: Callable[[int], int] = count_operations) -> int:
    """Return the largest of most, most / 2, most / 4 ... that is faster than half of its threads.

    `count` returns how many operations a number of threads computes in a fixed time.
    """
    threads, operations = most, count(most) if most > 1 else 0
    while threads > 1:
        fewer = count(threads // 2)
        if operations > fewer:
            break
        threads, operations = threads // 2, fewer
    return threads


def has_bfloat16(device: "torch.device") -> bool:
    """Return True if the device has instructions for products of bfloat16 numbers."""
    import torch  # noqa: PLC0415 - see the module's docstring

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if torch.backends.cpu.get_cpu_capability() == "AVX2":
        return False  # ATEN_CPU_CAPABILITY may forbid what the processor has
    capabilities = torch.cpu.get_capabilities()
    return any(present is True and "bf16" in name for name, present in capabilities.items())


@contextlib.contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Set the precision of 32-bit matrix products inside of the block; restore it afterwards."""
    import torch  # noqa: PLC0415 - see the module's docstring

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
