import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.server.supervisor import RestartDelay, Supervisor

FATAL = 2


def wait_for_ever() -> int:
    signal.pause()
    return 0


def ignore_sigterm() -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()


@dataclass(frozen=True)
class Supervised:
    """A supervisor in a process of its own, since signals and forks belong to a process."""

    pid: int
    folder: Path

    @property
    def workers(self) -> set[int]:
        """Process ids of all workers that were ever started."""
        return {int(file.stem) for file in self.folder.glob("*.pid")}

    def exit_status(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextmanager
def supervised(
    folder: Path, work: Callable[[], int] = wait_for_ever, workers: int = 2
) -> Iterator[Supervised]:
    """Start a supervisor and wait until all its workers run."""

    def noted() -> int:
        (folder / f"{os.getpid()}.pid").touch()
        return work()

    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            status = Supervisor(
                noted, workers, stop_timeout_s=0.3, fatal=frozenset({FATAL}), metrics=folder
            ).run()
        finally:
            os._exit(status)
    supervisor = Supervised(pid, folder)
    try:
        yield supervisor
    finally:
        for each in (pid, *supervisor.workers):
            if alive(each):
                os.kill(each, signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.mark.parametrize("work", [wait_for_ever, ignore_sigterm])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_workers_also_those_that_ignore_it(
    tmp_path: Path, work: Callable[[], int], number: signal.Signals
) -> None:
    with supervised(tmp_path, work) as supervisor:
        until(lambda: len(supervisor.workers) == 2)
        os.kill(supervisor.pid, number)
        assert supervisor.exit_status() == 0
        assert not any(map(alive, supervisor.workers))


def test_a_worker_that_cannot_start_stops_everything_with_its_status(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda: FATAL) as supervisor:
        assert supervisor.exit_status() == FATAL
        assert not any(map(alive, supervisor.workers))


def test_a_worker_that_dies_is_replaced_and_its_gauges_are_removed(tmp_path: Path) -> None:
    with supervised(tmp_path) as supervisor:
        until(lambda: len(supervisor.workers) == 2)
        victim = min(supervisor.workers)
        gauge, counter = (tmp_path / f"{kind}_{victim}.db" for kind in ("gauge_livesum", "counter"))
        gauge.touch()
        counter.touch()
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(supervisor.workers) == 3)
        assert not gauge.exists()
        assert counter.exists()
        os.kill(supervisor.pid, signal.SIGTERM)
        assert supervisor.exit_status() == 0


def test_workers_stop_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    with supervised(tmp_path) as supervisor:
        until(lambda: len(supervisor.workers) == 2)
        os.kill(supervisor.pid, signal.SIGKILL)
        supervisor.exit_status()
        until(lambda: not any(map(alive, supervisor.workers)))


def suspend(supervisor: Supervised) -> None:
    os.kill(supervisor.pid, signal.SIGSTOP)
    until(lambda: "\nState:\tT" in Path(f"/proc/{supervisor.pid}/status").read_text())


def test_a_supervisor_goes_on_after_it_was_suspended_and_continued(tmp_path: Path) -> None:
    with supervised(tmp_path) as supervisor:
        until(lambda: len(supervisor.workers) == 2)
        workers = supervisor.workers
        # A worker that died young is replaced after 0.2 s: suspend while that time runs out.
        os.kill(min(workers), signal.SIGKILL)
        until(lambda: not alive(min(workers)))
        suspend(supervisor)
        time.sleep(0.5)
        os.kill(supervisor.pid, signal.SIGCONT)
        until(lambda: len(supervisor.workers) == 3)
        for _ in range(20):
            suspend(supervisor)
            os.kill(supervisor.pid, signal.SIGCONT)
        assert alive(supervisor.pid)
        assert all(map(alive, supervisor.workers - {min(workers)}))
        os.kill(supervisor.pid, signal.SIGTERM)
        assert supervisor.exit_status() == 0


def test_signals_that_come_while_the_supervisor_is_suspended_are_not_lost(tmp_path: Path) -> None:
    with supervised(tmp_path) as supervisor:
        until(lambda: len(supervisor.workers) == 2)
        suspend(supervisor)
        os.kill(min(supervisor.workers), signal.SIGKILL)
        os.kill(supervisor.pid, signal.SIGTERM)
        os.kill(supervisor.pid, signal.SIGCONT)
        assert supervisor.exit_status() == 0
        assert not any(map(alive, supervisor.workers))


def test_workers_that_die_young_are_replaced_after_a_growing_delay() -> None:
    delay = RestartDelay()
    assert [delay.after(0.1) for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert delay.after(60.0) == 0.0
    assert delay.after(0.1) == 0.2


def test_a_signal_to_a_worker_that_just_started_does_not_stop_the_others(tmp_path: Path) -> None:
    """Until a worker has handlers of its own, it shares the pipe in which its parent waits."""
    code = (
        "import os, pathlib, signal, sys\n"
        "from app.server.supervisor import Supervisor\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "fork = os.fork\n"
        "def fork_and_signal():\n"
        "    pid = fork()\n"
        "    if pid == 0 and not list(folder.glob('first')):\n"
        "        (folder / 'first').touch()\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return pid\n"
        "os.fork = fork_and_signal\n"
        "def work():\n"
        "    (folder / f'{os.getpid()}.pid').touch()\n"
        "    signal.pause()\n"
        "Supervisor(work, 1, stop_timeout_s=1, fatal=frozenset(), metrics=folder).run()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as process:
        until(lambda: len(list(tmp_path.glob("*.pid"))) == 1)
        assert process.poll() is None
        process.terminate()
        assert process.wait(timeout=10) == 0
