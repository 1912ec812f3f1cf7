"""Several worker processes behind one port: started, restarted when they die, stopped together.

The workers are forked, so they share the memory of what was imported before, and inherit the
listening sockets: the kernel hands each connection to one of them. If the supervisor itself is
killed, its end of a pipe closes, and the workers stop.
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
from typing import NoReturn

from app.server.signals import SignalPipe

log = logging.getLogger("zserve")

_STOP = frozenset({signal.SIGTERM, signal.SIGINT})
_HANDLED = _STOP | {signal.SIGCHLD}


class RestartDelay:
    """Delay before an ended worker is replaced; it grows if workers end soon after their start."""

    YOUNG_S = 5.0
    """Lifetime (s) below which the end of a worker counts as early."""
    LONGEST_S = 5.0

    def __init__(self) -> None:
        self._early_deaths = 0

    def after(self, lifetime_s: float) -> float:
        """Return the seconds to wait after the death of a worker that lived for `lifetime_s`."""
        if lifetime_s >= self.YOUNG_S:
            self._early_deaths = 0
            return 0.0
        self._early_deaths += 1
        return min(0.1 * 2.0**self._early_deaths, self.LONGEST_S)


class Supervisor:
    """Runs `work` in `count` processes until a signal comes; `work` returns an exit status.

    If a worker ends with a status in `fatal`, all workers are stopped, because its replacement
    could not start either. `metrics` is the folder in which workers keep their counters.
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
        self._restart_delay = RestartDelay()
        self._signals = SignalPipe(_HANDLED)
        self._lifeline = os.pipe()

    def run(self) -> int:
        """Return 0 after a signal, or the status of a worker that could not start."""
        with self._signals:
            try:
                self._due = [0.0] * self._count
                while True:
                    self._start_due_workers()
                    if self._signals.wait(self._seconds_until_due()) & _STOP:
                        return 0
                    for status in self._reap():
                        if status in self._fatal:
                            return status
            finally:
                self._stop()

    def _start_due_workers(self) -> None:
        now = time.monotonic()
        count = sum(due <= now for due in self._due)
        self._due = [due for due in self._due if due > now]
        for _ in range(count):
            self._fork()

    def _seconds_until_due(self) -> float | None:
        return max(0.0, min(self._due) - time.monotonic()) if self._due else None

    def _fork(self) -> None:
        # Signals are blocked until the worker has its own handlers. Before that, a signal to the
        # worker would write into the supervisor's pipe, and the supervisor would act on it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            pid = os.fork()
            if pid == 0:
                self._run_worker(mask)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._started_at[pid] = time.monotonic()

    def _run_worker(self, mask: set[signal.Signals | int]) -> NoReturn:
        status = 1
        try:
            self._signals.restore()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            reading, writing = self._lifeline
            os.close(writing)
            threading.Thread(target=_stop_with_supervisor, args=(reading,), daemon=True).start()
            status = self._work()
        except BaseException:  # noqa: BLE001 - no error may continue in the supervisor's code
            traceback.print_exc()
        finally:
            os._exit(status)

    def _reap(self) -> list[int]:
        """Return the exit statuses of the workers that ended, and schedule their replacements."""
        statuses = []
        for pid, status in self._ended_workers():
            now = time.monotonic()
            self._due.append(now + self._restart_delay.after(now - self._started_at.pop(pid, now)))
            for file in self._metrics.glob(f"gauge_live*_{pid}.db"):
                file.unlink(missing_ok=True)  # the gauges of the ended worker; its counters stay
            log.error("worker %d ended with status %d; another one starts", pid, status)
            statuses.append(status)
        return statuses

    def _ended_workers(self) -> list[tuple[int, int]]:
        """Return process ids and exit statuses of workers that ended and were not waited for."""
        ended: list[tuple[int, int]] = []
        while len(ended) < len(self._started_at):
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended.append((pid, os.waitstatus_to_exitcode(wait_status)))
        return ended

    def _stop(self) -> None:
        """Ask all workers to stop, wait for them, and kill those that do not stop in time."""
        _signal_all(self._started_at, signal.SIGTERM)
        deadline = time.monotonic() + self._stop_timeout_s
        while True:
            for pid, _ in self._ended_workers():
                self._started_at.pop(pid, None)
            if not self._started_at:
                return
            if time.monotonic() > deadline:
                log.error("%d workers do not stop, and are killed", len(self._started_at))
                _signal_all(self._started_at, signal.SIGKILL)
                deadline += self._stop_timeout_s
            self._signals.wait(max(0.0, deadline - time.monotonic()))


def _signal_all(pids: dict[int, float], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _stop_with_supervisor(lifeline: int) -> None:
    """Wait until the supervisor has closed the other end of the pipe, then stop this process."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
