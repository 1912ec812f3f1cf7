"""Several processes behind one port: started, started again when they die, stopped together.

The workers are forked, so that they share the memory of what was imported before, and inherit the
listening sockets: the kernel hands each connection to one of them. When the supervisor itself is
killed, a pipe that it held open closes, and the workers stop.
"""

import contextlib
import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("zserve")

_STOP = {signal.SIGTERM, signal.SIGINT}
_LIVED_S = 5.0
"""A worker that dies younger is started again only after a while."""
_LONGEST_DELAY_S = 5.0


class Supervisor:
    """Runs `work` in `count` processes until a signal comes; `work` returns an exit status.

    A status among `fatal` ends all: the next worker could not start either.
    """

    def __init__(
        self,
        work: Callable[[], int],
        count: int,
        *,
        stop_timeout_s: float,
        fatal: frozenset[int],
        metrics: Path,
    ) -> None:
        self._work = work
        self._count = count
        self._stop_timeout_s = stop_timeout_s
        self._fatal = fatal
        self._metrics = metrics
        self._started_at: dict[int, float] = {}
        self._due: list[float] = []
        self._early_deaths = 0
        self._lifeline = os.pipe()

    def run(self) -> int:
        """0 after a signal, else the status of the worker that could not start."""
        old = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP | {signal.SIGCHLD})
        try:
            self._due = [0.0] * self._count
            while True:
                self._start_those_due()
                caught = signal.sigtimedwait(_STOP | {signal.SIGCHLD}, self._patience_s())
                if caught is not None and caught.si_signo in _STOP:
                    return 0
                for status in self._reap():
                    if status in self._fatal:
                        return status
        finally:
            self._stop()
            signal.pthread_sigmask(signal.SIG_SETMASK, old)

    def _start_those_due(self) -> None:
        now = time.monotonic()
        late = [due for due in self._due if due <= now]
        self._due = [due for due in self._due if due > now]
        for _ in late:
            self._fork()

    def _patience_s(self) -> float:
        return max(0.0, min([1.0, *(due - time.monotonic() for due in self._due)]))

    def _fork(self) -> None:
        pid = os.fork()
        if pid:
            self._started_at[pid] = time.monotonic()
            return
        status = 1
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP | {signal.SIGCHLD})
            reading, writing = self._lifeline
            os.close(writing)
            threading.Thread(target=_stop_with_supervisor, args=(reading,), daemon=True).start()
            status = self._work()
        except BaseException:  # noqa: BLE001 - nothing may run on into the supervisor's code
            traceback.print_exc()
        finally:
            os._exit(status)

    def _reap(self) -> list[int]:
        """Exit statuses of the workers that ended; a new one is due for each."""
        statuses = []
        while self._started_at:
            pid, ended = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            status = os.waitstatus_to_exitcode(ended)
            statuses.append(status)
            self._forget(pid, status)
        return statuses

    def _forget(self, pid: int, status: int) -> None:
        now = time.monotonic()
        young = now - self._started_at.pop(pid, now) < _LIVED_S
        self._early_deaths = self._early_deaths + 1 if young else 0
        delay_s = min(0.1 * 2.0**self._early_deaths, _LONGEST_DELAY_S) if young else 0.0
        self._due.append(now + delay_s)
        for file in self._metrics.glob(f"gauge_live*_{pid}.db"):
            file.unlink(missing_ok=True)  # what it had waiting waits no more; its counts stay
        log.error("worker %d ended with status %d; another one starts", pid, status)

    def _stop(self) -> None:
        """Ask all to stop, wait, and end by force those that do not."""
        _signal_all(self._started_at, signal.SIGTERM)
        deadline = time.monotonic() + self._stop_timeout_s
        while self._started_at:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid:
                self._started_at.pop(pid, None)
            elif time.monotonic() > deadline:
                log.error("%d workers do not stop, and are killed", len(self._started_at))
                _signal_all(self._started_at, signal.SIGKILL)
                deadline += self._stop_timeout_s
            else:
                time.sleep(0.01)


def _signal_all(pids: dict[int, float], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _stop_with_supervisor(lifeline: int) -> None:
    """Ends when nobody holds the other end any more."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
