"""A worker process: the reports that it sends, and the state that the supervisor keeps of it."""

import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass, field

SPREAD = signal.SIGUSR1
"""Asks a worker to close some connections after their next answer, because another one has few."""

_BEAT, _READY, _FAILED = b".", b"R", b"E"
_COUNT = re.compile(rb"\.(\d+);")
_REASON_BYTES = 2000
"""Bytes of the longest reason that is reported; the pipe takes them in one write."""


class Reporter:
    """Reports of this worker to its supervisor, over a pipe.

    Attributes:
        workers: Number of workers of the service.
    """

    def __init__(self, fd: int, workers: int, supervisor: int) -> None:
        self.workers = workers
        self._fd = fd
        self._supervisor = supervisor

    @property
    def orphaned(self) -> bool:
        """True if the supervisor was killed, so that all workers stop."""
        return os.getppid() != self._supervisor

    def beat(self, connections: int = 0) -> None:
        """Report that the event loop runs, and how many connections are open."""
        self._write(b"%b%d;" % (_BEAT, connections))

    def ready(self) -> None:
        """Report that this worker answers requests from now on."""
        self._write(_READY)

    def failed(self, reason: str) -> None:
        """Report why this worker ends; the first line of a reason should say it."""
        self._write(_FAILED + reason.encode("utf-8", "backslashreplace")[:_REASON_BYTES])

    def _write(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # the supervisor has gone, or does not read
            os.write(self._fd, message)


@dataclass(eq=False)
class WorkerProcess:
    """State of one worker, as the supervisor sees it.

    Attributes:
        pid: The process.
        pipe: File descriptor from which its reports are read.
        heard_at: Time (s, monotonic) of its last report, or of its start.
        beats: True once its event loop has reported.
        ready: True once it answers requests.
        connections: Number of connections that it has last reported.
        reason: Why it ends, if it has said so.
        retiring: True once it was asked to stop.
        kill_at: Time (s, monotonic) at which it is killed if it has not stopped.
    """

    pid: int
    pipe: int
    heard_at: float = field(default_factory=time.monotonic)
    beats: bool = False
    ready: bool = False
    connections: int = 0
    reason: str | None = None
    retiring: bool = False
    kill_at: float | None = None

    def read(self) -> None:
        """Read the reports that have come, and update the state by them."""
        try:
            data = os.read(self.pipe, 65536)
        except BlockingIOError:
            return
        if not data:
            return
        self.heard_at = time.monotonic()
        self.beats = True
        reports, failed, reason = data.partition(_FAILED)
        self.ready = self.ready or _READY in reports
        counts = _COUNT.findall(reports)
        if counts:
            self.connections = int(counts[-1])
        if failed:
            self.reason = reason.decode("utf-8", "replace")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still exists."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def retire(self, timeout_s: float) -> None:
        """Ask the worker to stop, and set the time at which it is killed otherwise."""
        self.retiring = True
        self.kill_at = time.monotonic() + timeout_s
        self.signal(signal.SIGTERM)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self.pipe)

    def ending(self, status: int) -> str:
        """Describe why the process ended with `status`, a negative one being a signal."""
        if self.reason is not None:
            return self.reason
        if status >= 0:
            return f"it ended with status {status}"
        with contextlib.suppress(ValueError):
            name = signal.Signals(-status).name
            hint = "; the machine may be out of memory" if name == "SIGKILL" else ""
            return f"it was ended by {name}{hint}"
        return f"it was ended by signal {-status}"
