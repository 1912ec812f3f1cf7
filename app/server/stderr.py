"""Write to stderr from a thread, so that a pipe that nothing reads does not stop the service.

A pipe holds 64 KiB. Once it is full, each write blocks until the program at its other end reads, and
so would the event loop when it logs a line.
"""

import contextlib
import io
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator

MAX_WAITING_BYTES = 1024 * 1024
"""Bytes that wait while stderr is blocked; what comes later is dropped and counted."""
FLUSH_S = 1.0
"""Longest time (s) that `drain` waits for stderr."""


class ThreadedStderr(io.TextIOBase):
    """A text stream that never waits in `write`; use it in place of `sys.stderr`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._is_a_tty = os.isatty(fd)
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """Begin without a thread, which a fork does not copy, and with free locks."""
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._dropped = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the written bytes."""
        return "utf-8"

    def isatty(self) -> bool:
        """Return True if stderr is a terminal."""
        return self._is_a_tty

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._fd

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Hand text to the thread, or drop and count it if too much is waiting."""
        data = text.encode("utf-8", "backslashreplace")
        with self._changed:
            if self._waiting + len(data) > MAX_WAITING_BYTES:
                self._dropped += data.count(b"\n")
                return len(text)
            self._lines.append(data)
            self._waiting += len(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="stderr", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes lines as soon as possible, and no caller has to wait for it."""

    def drain(self, timeout_s: float = FLUSH_S) -> None:
        """Wait until everything is written, for at most `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting == 0, timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                data = b"".join(self._lines)
                self._lines.clear()
            self._write(data)
            with self._changed:
                self._waiting -= len(data)
                if self._dropped:
                    note = b"zserve: %d lines were dropped while stderr was blocked\n"
                    self._lines.append(note % self._dropped)
                    self._waiting += len(self._lines[-1])
                    self._dropped = 0
                self._changed.notify_all()

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the reader has gone: there is nobody to report it to
            while data:
                data = data[os.write(self._fd, data) :]


@contextlib.contextmanager
def threaded_stderr() -> Iterator[None]:
    """Replace sys.stderr while the service runs."""
    before = sys.stderr
    try:
        fd = before.fileno()
    except (AttributeError, OSError, ValueError):  # there is no stderr, or not as a file
        yield
        return
    before.flush()
    sys.stderr = stream = ThreadedStderr(fd)
    try:
        yield
    finally:
        stream.drain()
        sys.stderr = before


def drain_stderr() -> None:
    """Wait until the thread has written all lines, for at most FLUSH_S; call it before a process ends."""
    if isinstance(sys.stderr, ThreadedStderr):
        sys.stderr.drain()
