"""Wait for signals with a timeout, and tell which of them a closed terminal has sent."""

import os
import select
import signal
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any, Self


class SignalPipe:
    """Signals of this process as bytes of a pipe; use it as a context, in the main thread.

    `signal.sigtimedwait` would be shorter, but CPython 3.11 returns an uninitialised structure
    from it when the process is suspended and continued after the timeout: its signal number may be
    any, SIGTERM included.
    """

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self._signals = tuple(signals)
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._reading, self._writing = os.pipe()
        for end in (self._reading, self._writing):
            os.set_blocking(end, False)
        self._wakeup_fd = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, _do_nothing) for number in self._signals}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.restore()

    def restore(self) -> None:
        """Restore the former handlers of the signals; a forked child calls this too."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_fd)
        os.close(self._reading)
        os.close(self._writing)

    def wait(self, timeout_s: float | None, pipes: Iterable[int] = ()) -> set[int]:
        """Return the numbers of signals that came since the last call, at most `timeout_s` later.

        It returns as soon as one of the file descriptors `pipes` can be read, too.
        """
        select.select([self._reading, *pipes], [], [], timeout_s)
        try:
            return set(os.read(self._reading, 4096))
        except BlockingIOError:
            return set()


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Handle a signal: Python writes its number to the wakeup pipe only if it has a handler."""


def has_terminal() -> bool:
    """Return True if this process has a terminal that is open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
