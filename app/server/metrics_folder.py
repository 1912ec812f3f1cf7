"""The folder in which several workers keep their metrics, removed by whoever ends last.

The supervisor and its workers share one lock on the folder, which the kernel releases when the last
of them has ended. So a folder without a lock belongs to nobody, also after kill -9.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_PREFIX = "zserve-metrics-"
_YOUNG_S = 60.0
"""Age (s) of a folder from which it counts as abandoned: a new one may not be locked yet."""


class MetricsFolder:
    """A new temporary folder, and its lock; create it before the workers are forked."""

    def __init__(self) -> None:
        remove_abandoned()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def leave(self) -> None:
        """Give up this process's part of the lock, and remove the folder if it was the last one."""
        os.close(self._lock)
        _remove_unlocked(self.path)


def remove_abandoned() -> None:
    """Remove the folders of services all of whose processes were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _YOUNG_S:
                _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    """Remove a folder of this user that no process has locked."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(fd).st_uid == os.getuid():
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(fd)
