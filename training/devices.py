"""Choose the device to compute on and configure PyTorch for it.

PyTorch is imported inside of the functions: the command line offers `Device` as an option, and
`--help` should not take seconds.
"""

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING

from training.errors import DeviceError

if TYPE_CHECKING:
    import torch


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


def prepare_torch(threads: int | None) -> None:
    """Set the number of CPU threads (None keeps PyTorch's default) and flush denormal numbers."""
    import torch  # noqa: PLC0415 - see the module's docstring

    if threads is not None:
        torch.set_num_threads(threads)
    # Adam's moments of pixels that are always black decay into denormal numbers, which are slow
    torch.set_flush_denormal(True)


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
