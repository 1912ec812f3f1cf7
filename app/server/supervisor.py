"""Several worker processes behind one port: started, watched, restarted, and stopped together.

The workers are forked, so they share the memory of what was imported before, and inherit the
listening sockets: the kernel hands each connection to one of them. If the supervisor itself is
killed, its end of a pipe closes, and the workers stop.
"""

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from app.server.restarts import RestartDelay, RollingRestart
from app.server.signals import SignalPipe, has_terminal
from app.server.stderr import drain_stderr
from app.server.worker import SPREAD, Reporter, WorkerProcess

log = logging.getLogger("zserve")

EXIT_GAVE_UP = 1
"""Exit status if workers end again and again before they are ready."""

_STOP = frozenset({signal.SIGTERM, signal.SIGINT})
_HANDLED = _STOP | {signal.SIGCHLD, signal.SIGHUP}
_LOOK_S = 0.5
"""Longest time (s) between two looks at the heartbeats."""
_BALANCE_S = 2.0
"""Shortest time (s) between two attempts to spread the connections over the workers."""
_SMALL_DIFFERENCE = 4
"""Difference in connections that is left as it is."""
_START_S = 60.0
"""Time (s) in which the event loop of a new worker must run."""


@dataclass(frozen=True)
class Policy:
    """When workers are given up, and how they are stopped.

    Attributes:
        stop_timeout_s: Time after which a worker that was asked to stop is killed.
        heartbeat_timeout_s: Time without a report after which a worker is killed and replaced.
        fatal: Exit statuses of workers whose replacements could not start either.
        delay_s: Time between the announcement of a stop and the stop itself.
    """

    stop_timeout_s: float
    heartbeat_timeout_s: float = 30.0
    fatal: frozenset[int] = frozenset()
    delay_s: float = 0.0


class Supervisor:
    """Runs `work` in `count` processes until a signal comes; `work` returns an exit status.

    SIGHUP replaces the workers one by one: each stops once its replacement is ready. `announce` is
    called when the service begins to stop, `refuse` `policy.delay_s` later, when no client may
    connect any more. `metrics` is the folder in which workers keep their counters.
    """

    def __init__(
        self,
        work: Callable[[Reporter], int],
        count: int,
        *,
        policy: Policy,
        metrics: Path,
        announce: Callable[[], None] = lambda: None,
        refuse: Callable[[], None] = lambda: None,
    ) -> None:
        self._work = work
        self._count = count
        self._policy = policy
        self._metrics = metrics
        self._announce = announce
        self._refuse = refuse
        self._workers: dict[int, WorkerProcess] = {}
        self._due = [0.0] * count
        self._delay = RestartDelay()
        self._reason = ""
        self._restart = RollingRestart()
        self._looked_at = time.monotonic()
        self._balanced_at = time.monotonic()
        self._had_terminal = has_terminal()
        self._signals = SignalPipe(_HANDLED)
        self._lifeline = os.pipe()

    def run(self) -> int:
        """Return 0 after a signal, or the status of a worker that could not start."""
        log.info("starting %d workers", self._count)
        with self._signals:
            try:
                while True:
                    self._start_due_workers()
                    if self._delay.exhausted and not self._serving():
                        log.error(
                            "zserve stops: %d tries to start a worker failed; the last one: %s",
                            *(self._delay.failures, self._reason),
                        )
                        return EXIT_GAVE_UP
                    numbers = self._wait(self._seconds_to_wait())
                    if numbers & _STOP or (signal.SIGHUP in numbers and self._lost_terminal()):
                        return 0
                    if signal.SIGHUP in numbers:
                        self._begin_restart()
                    status = self._reap()
                    if status is not None:
                        return status
                    self._kill_late_workers()
                    self._balance()
                    self._continue_restart()
            finally:
                self._stop()

    # --- start ---

    def _start_due_workers(self) -> None:
        now = time.monotonic()
        count = sum(due <= now for due in self._due)
        self._due = [due for due in self._due if due > now]
        for _ in range(count):
            try:
                self._start()
            except OSError as error:  # the machine has no room for another process
                log.error("no worker can be started: %s", error)  # noqa: TRY400 - expected
                self._try_later(str(error))

    def _start(self) -> WorkerProcess:
        worker = self._fork()
        self._workers[worker.pid] = worker
        return worker

    def _fork(self) -> WorkerProcess:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        # Signals are blocked until the worker has its own handlers. Before that, a signal to the
        # worker would write into the supervisor's pipe, and the supervisor would act on it.
        supervisor = os.getpid()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            pid = os.fork()
            if pid == 0:
                os.close(reading)
                self._run_worker(mask, Reporter(writing, self._count, supervisor))
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return WorkerProcess(pid, reading)

    def _run_worker(self, mask: set[signal.Signals | int], reporter: Reporter) -> NoReturn:
        status = 1
        try:
            self._signals.restore()
            # A terminal that hangs up sends SIGHUP to all processes; the supervisor acts on it.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(SPREAD, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            reading, writing = self._lifeline
            os.close(writing)
            for other in self._workers.values():
                other.close()
            threading.Thread(target=_stop_with_supervisor, args=(reading,), daemon=True).start()
            status = self._work(reporter)
        except BaseException as error:  # must not continue in the supervisor's code
            reporter.failed(f"{type(error).__name__}: {error}")
            log.exception("worker %d failed", os.getpid())
        finally:
            drain_stderr()
            os._exit(status)

    # --- watch ---

    def _wait(self, timeout_s: float) -> set[int]:
        """Wait for a signal or a report, and read both."""
        workers = {worker.pipe: worker for worker in self._workers.values()}
        numbers = self._signals.wait(timeout_s, workers)
        were_ready = {worker.pid for worker in workers.values() if worker.ready}
        for worker in workers.values():
            worker.read()
        for worker in workers.values():
            if worker.ready and worker.pid not in were_ready:
                self._delay.reset()
                for pid in were_ready:
                    self._workers[pid].signal(SPREAD)
        return numbers

    def _seconds_to_wait(self) -> float:
        """Return the time until a worker is started or killed, or the heartbeats are looked at."""
        kills = [w.kill_at for w in self._workers.values() if w.kill_at is not None]
        earliest = min([*self._due, *kills], default=math.inf)
        return max(0.0, min(_LOOK_S, earliest - time.monotonic()))

    def _reap(self) -> int | None:
        """Schedule replacements of workers that ended; return a status if all must be stopped."""
        for worker, status in self._ended_workers():
            reason = worker.ending(status)
            if worker.retiring:
                log.info("worker %d has stopped", worker.pid)
            elif worker.pid == self._restart.replacement and not worker.ready:
                log.error("the restart ends: its worker ended before it was ready: %s", reason)
                self._restart.abandon()
            elif worker.ready:
                log.error("worker %d ended: %s; another one starts", worker.pid, reason)
                self._due.append(time.monotonic())
            else:
                log.error("worker %d ended before it was ready: %s", worker.pid, reason)
                self._try_later(reason)
                if status in self._policy.fatal and not self._serving():
                    return status
        return None

    def _try_later(self, reason: str) -> None:
        """Schedule another try, after a start failed for this reason."""
        self._reason = reason
        self._due.append(time.monotonic() + self._delay.after_failure())

    def _serving(self) -> bool:
        return any(worker.ready and not worker.retiring for worker in self._workers.values())

    def _ended_workers(self) -> list[tuple[WorkerProcess, int]]:
        """Return the workers that ended, with their exit statuses, and forget them."""
        ended: list[tuple[WorkerProcess, int]] = []
        while self._workers:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            worker = self._workers.pop(pid, None)
            if worker is None:
                continue
            worker.read()
            worker.close()
            for file in self._metrics.glob(f"gauge_live*_{pid}.db"):
                file.unlink(missing_ok=True)  # the gauges of the ended worker; its counters stay
            ended.append((worker, os.waitstatus_to_exitcode(wait_status)))
        return ended

    def _kill_late_workers(self) -> None:
        """Kill workers that do not report, and those that do not stop in time."""
        now = time.monotonic()
        suspended = now - self._looked_at > 3 * _LOOK_S
        self._looked_at = now
        for worker in self._workers.values():
            if suspended:
                worker.heard_at = now  # together with this process, perhaps
            allowed = self._policy.heartbeat_timeout_s
            if not worker.beats:
                allowed = max(allowed, _START_S)
            if worker.kill_at is not None and now >= worker.kill_at:
                log.error("worker %d does not stop, and is killed", worker.pid)
            elif now - worker.heard_at > allowed:
                log.error("worker %d has not run for %.0f s, and is killed", worker.pid, allowed)
            else:
                continue
            worker.kill_at = None
            worker.heard_at = now + 3600.0
            worker.signal(signal.SIGKILL)

    def _balance(self) -> None:
        """Ask the worker with most connections to shed some, if another one has far fewer."""
        now = time.monotonic()
        serving = [w for w in self._workers.values() if w.ready and not w.retiring]
        if len(serving) < 2 or now - self._balanced_at < _BALANCE_S:
            return
        counts = sorted(serving, key=lambda worker: worker.connections)
        least, most = counts[0].connections, counts[-1].connections
        if most - least > max(_SMALL_DIFFERENCE, most // 2):
            self._balanced_at = now
            counts[-1].signal(SPREAD)

    # --- restart and stop ---

    def _lost_terminal(self) -> bool:
        """Return True if SIGHUP came because the terminal of this service was closed."""
        return self._had_terminal and not has_terminal()

    def _begin_restart(self) -> None:
        log.info("restarting %d workers, one by one", self._count)
        self._restart.begin(pid for pid, worker in self._workers.items() if not worker.retiring)

    def _continue_restart(self) -> None:
        """Retire a worker if its replacement is ready, and start the next replacement."""
        restart = self._restart
        restart.keep(self._workers)
        replacement = self._workers.get(restart.replacement or 0)
        if replacement is not None and replacement.ready:
            restart.replacement = None
            self._retire_one()
        if restart.outdated and restart.replacement is None:
            try:
                restart.replacement = self._start().pid
            except OSError as error:
                log.error("the restart ends: no worker can be started: %s", error)  # noqa: TRY400
                restart.abandon()

    def _retire_one(self) -> None:
        """Retire the oldest outdated worker, or one too many, if a worker ended during the restart."""
        active = [pid for pid, worker in self._workers.items() if not worker.retiring]
        if len(active) + len(self._due) <= self._count:
            return
        if self._due:
            self._due.pop()
            return
        outdated = self._restart.outdated
        pid = outdated.pop(0) if outdated else active[0]
        self._workers[pid].retire(self._policy.stop_timeout_s)

    def _stop(self) -> None:
        """Announce the stop, ask all workers to stop, and kill those that do not in time."""
        self._announce()
        self._due.clear()
        refuse_at = time.monotonic() + self._policy.delay_s
        while self._workers and (left := refuse_at - time.monotonic()) > 0:
            if self._wait(left) & _STOP:
                break
            self._ended_workers()
        self._refuse()
        for worker in self._workers.values():
            worker.retire(self._policy.stop_timeout_s)
        while True:
            self._ended_workers()
            if not self._workers:
                return
            self._kill_late_workers()
            if signal.SIGINT in self._wait(self._seconds_to_wait()):  # the second one: cut requests
                for worker in self._workers.values():
                    worker.signal(signal.SIGINT)


def _stop_with_supervisor(lifeline: int) -> None:
    """Wait until the supervisor has closed the other end of the pipe, then stop this process."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
