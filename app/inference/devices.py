"""Choose the device that models run on."""

import ctypes
import functools
import importlib.util
from typing import Literal

from app.errors import SettingsError

Device = Literal["cpu", "cuda"]

DRIVER = "libcuda.so.1"
CUDA_ERROR_NO_DEVICE = 100
"""Return value of cuInit if the driver is installed and the machine has no GPU."""


def choose_device(requested: Literal["auto", "cpu", "cuda"]) -> Device:
    """Return the requested device; `auto` is a GPU if one is usable, else the CPU.

    Raises SettingsError if `cuda` is requested and no GPU can be used. Do not call it in a process
    that forks later: CUDA does not survive a fork.
    """
    if requested == "cpu":
        return "cpu"
    reason = unusable_reason()
    if reason is None:
        return "cuda"
    if requested == "cuda":
        raise SettingsError(
            f"device=cuda was requested, and no GPU can be used: {reason}; "
            "install a CUDA build of torch and a driver, or set device=auto"
        )
    return "cpu"


def has_gpu() -> bool:
    """Return False if there is no NVIDIA driver, or if the driver says that there is no GPU."""
    return _driver_status() not in {None, CUDA_ERROR_NO_DEVICE}


@functools.cache
def unusable_reason() -> str | None:
    """Return in one line why no GPU can be used; None if one computes correctly.

    PyTorch is imported only if a driver finds a GPU. The result is kept for the life of the process.
    """
    status = _driver_status()
    if status is None:
        return "no NVIDIA driver is installed"
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed"
    if status != 0:
        return f"the NVIDIA driver finds no usable GPU (cuInit returns {status})"
    from app.inference import cuda_graphs  # noqa: PLC0415 - imports PyTorch, which takes seconds

    return cuda_graphs.unusable_reason()


def _driver_status() -> int | None:
    """Return what the driver's cuInit returns, 0 if it finds a GPU; None if there is no driver."""
    try:
        return int(ctypes.CDLL(DRIVER).cuInit(0))
    except OSError:
        return None
