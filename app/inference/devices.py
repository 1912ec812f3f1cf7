"""Choose the device that models run on."""

from typing import Literal

from app.errors import SettingsError
from app.inference.cuda_graphs import unusable_reason

Device = Literal["cpu", "cuda"]


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
            f"device=cuda was asked for, and no GPU can be used: {reason}; "
            "install a CUDA build of torch and a driver, or set device=auto"
        )
    return "cpu"
