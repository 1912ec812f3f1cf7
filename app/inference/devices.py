"""Choose the device that models run on."""

import ctypes
import functools
import importlib.util
from typing import Literal

from app.errors import SettingsError

Device = Literal["cpu", "cuda"]

DRIVER = "libcuda.so.1"


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


@functools.cache
def unusable_reason() -> str | None:
    """Return in one line why no GPU can be used; None if one computes correctly.

    PyTorch is imported only if a driver finds a GPU. The result is kept for the life of the process.
    """
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return "no NVIDIA driver is installed"
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed"
    status = int(driver.cuInit(0))
    if status != 0:
        return f"the NVIDIA driver finds no usable GPU (cuInit returns {status})"
    from app.inference import cuda_graphs  # noqa: PLC0415 - imports PyTorch, which takes seconds

    return cuda_graphs.unusable_reason()
