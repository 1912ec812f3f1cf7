"""The folder in which several workers keep their metrics; the last process that uses it removes it.

The supervisor and its workers share one lock on the folder, which the kernel releases when the last
of them has ended, also after kill -9. A folder without a lock is therefore not used any more.
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
"""Age (s) up to which a folder is kept though it is not locked: its service may be just starting."""


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
    """Remove the folders that services left behind because all of their processes were killed."""
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
