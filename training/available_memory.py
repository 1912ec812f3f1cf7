"""How much memory this process may have: of the machine, and of its control group."""

import resource
from pathlib import Path

PROC = Path("/proc")
CONTROL_GROUP = Path("/sys/fs/cgroup")


def available_bytes(proc: Path = PROC, group: Path = CONTROL_GROUP) -> int | None:
    """Return what this process has and what is free, in bytes; None on systems that do not say."""
    values = [_of_the_machine(proc / "meminfo"), _of_the_group(group)]
    free = min((value for value in values if value is not None), default=None)
    return None if free is None else free + _of_this_process(proc / "self" / "statm")


def _of_this_process(statm: Path) -> int:
    try:
        pages = int(statm.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * resource.getpagesize()


def _of_the_machine(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = dict(line.split(":", 1) for line in lines if ":" in line)
    words = sizes.get("MemAvailable", "").split()
    return int(words[0]) * 1024 if words else None


def _of_the_group(group: Path) -> int | None:
    """Return limit minus usage of a control group of version 2; cached files are not counted."""
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        stat = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    if not limit.isdigit():
        return None  # "max": without a limit
    files = next((int(line.split()[1]) for line in stat if line.startswith("inactive_file ")), 0)
    return max(0, int(limit) - used + files)
