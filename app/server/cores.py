"""Choose the number of workers by the cores and the memory of this machine or container."""

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from app.settings import Settings

WORKER_BYTES = 256 * 1024**2
"""Memory for which a worker is planned; serving exact versions takes 120 to 190 MB."""
MOST = 16
"""Largest number of workers that is chosen; a larger one can be set."""


def choose_workers(settings: Settings, root: Path = Path("/")) -> int:
    """Return the set number of workers, or one for each core if there is memory for them.

    Cores and memory are those that this process may use: by its affinity, and by the limits of its
    control groups. On a GPU it is one worker, because each would hold its own copy of the models
    there. `root` is the folder with `dev`, `proc` and `sys`.
    """
    if settings.workers is not None:
        return settings.workers
    if settings.device == "cuda" or (settings.device == "auto" and _may_have_gpu(root)):
        return 1
    return max(1, min(_cores(root), _free_bytes(root) // WORKER_BYTES, MOST))


def _may_have_gpu(root: Path) -> bool:
    """Return True if there may be a usable GPU; CUDA cannot be asked before workers are forked."""
    devices = root / "dev"
    present = any(devices.glob("nvidia[0-9]*")) or (devices / "dxg").exists()
    return present and importlib.util.find_spec("torch") is not None


def _cores(root: Path) -> int:
    """Return the number of whole cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return int(min([cores or 1, *_cpu_quotas(root)]))


def _cpu_quotas(root: Path) -> Iterator[float]:
    """Yield the limits on the number of cores, of control groups of both versions."""
    for group in _groups(root):
        with contextlib.suppress(OSError, ValueError):  # no limit: the file is missing, or "max"
            quota, period = (group / "cpu.max").read_text().split()
            yield int(quota) / int(period)
        with contextlib.suppress(OSError, ValueError):
            quota_us = int((group / "cpu.cfs_quota_us").read_text())
            period_us = int((group / "cpu.cfs_period_us").read_text())
            if quota_us > 0:
                yield quota_us / period_us


def _free_bytes(root: Path) -> int:
    """Return the memory that is free for workers."""
    limits = []
    for group in _groups(root):
        for limit, used in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            with contextlib.suppress(OSError, ValueError):
                limits.append(int((group / limit).read_text()) - int((group / used).read_text()))
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = (root / "proc/meminfo").read_text().splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable:"))
        limits.append(int(available.split()[1]) * 1024)
    return min(limits, default=MOST * WORKER_BYTES)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's control groups, and of those around them.

    In a container they are often mounted as if they were the outermost ones.
    """
    base = root / "sys/fs/cgroup"
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    yield base
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            group = base / controller / path.lstrip("/")
            while group != base and base in group.parents:
                yield group
                group = group.parent
