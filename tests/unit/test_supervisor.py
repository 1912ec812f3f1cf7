import logging
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

from app.server.restarts import RestartDelay
from app.server.supervisor import EXIT_GAVE_UP, Policy, Supervisor
from app.server.worker import SPREAD, Reporter

FATAL = 2
POLICY = Policy(stop_timeout_s=0.3, fatal=frozenset({FATAL}))

Work = Callable[[Reporter], int]


def serve_for_ever(reporter: Reporter) -> int:
    reporter.ready()
    while True:
        signal.pause()


def ignore_sigterm(reporter: Reporter) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return serve_for_ever(reporter)


def beat_for_ever(reporter: Reporter) -> int:
    reporter.ready()
    while True:
        time.sleep(0.1)
        reporter.beat()


def fail(reporter: Reporter) -> int:
    raise OSError("the disk is on fire")


def end_as_unusable(reporter: Reporter) -> int:
    return FATAL


@dataclass(frozen=True)
class Supervised:
    """A supervisor in a process of its own, since signals and forks belong to a process."""

    pid: int
    folder: Path

    @property
    def workers(self) -> set[int]:
        """Process ids of all workers that were ever started."""
        return {int(file.stem) for file in self.folder.glob("*.pid")}

    @property
    def running(self) -> set[int]:
        """Process ids of the workers that have not ended."""
        return {pid for pid in self.workers if alive(pid)}

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def exit_status(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextmanager
def supervised(
    folder: Path, work: Work = serve_for_ever, workers: int = 2, policy: Policy = POLICY
) -> Iterator[Supervised]:
    """Start a supervisor, which logs to a file."""

    def noted(reporter: Reporter) -> int:
        (folder / f"{os.getpid()}.pid").touch()
        return work(reporter)

    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            logging.basicConfig(filename=folder / "log", level=logging.INFO, force=True)
            status = Supervisor(
                noted,
                workers,
                policy=policy,
                metrics=folder,
                announce=(folder / "announced").touch,
                refuse=(folder / "refused").touch,
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
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter if it ends while it is read
        return False


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.mark.parametrize("work", [serve_for_ever, ignore_sigterm])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_workers_also_those_that_ignore_it(
    tmp_path: Path, work: Work, number: signal.Signals
) -> None:
    with supervised(tmp_path, work) as supervisor:
        until(lambda: len(supervisor.workers) == 2)
        os.kill(supervisor.pid, number)
        assert supervisor.exit_status() == 0
        assert not any(map(alive, supervisor.workers))


def test_a_worker_that_cannot_start_stops_everything_with_its_status(tmp_path: Path) -> None:
    with supervised(tmp_path, end_as_unusable) as supervisor:
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
        suspend(supervisor)
        os.kill(min(workers), signal.SIGKILL)
        until(lambda: not alive(min(workers)))
        time.sleep(0.2)
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


def test_the_delay_grows_with_each_failure_in_a_row() -> None:
    delay = RestartDelay()
    delays = [delay.after_failure() for _ in range(5)]
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2]
    assert delay.exhausted
    assert max(delay.after_failure() for _ in range(100)) == delay.LONGEST_S
    delay.reset()
    assert delay.after_failure() == 0.2
    assert not RestartDelay().exhausted


def test_workers_that_never_become_ready_are_given_up_with_their_reason(tmp_path: Path) -> None:
    with supervised(tmp_path, fail) as supervisor:
        assert supervisor.exit_status() == EXIT_GAVE_UP
        assert len(supervisor.workers) == RestartDelay.TRIES
        assert "ended before it was ready: OSError: the disk is on fire" in supervisor.log
        assert supervisor.log.splitlines()[-1].endswith(
            "zserve stops: 5 tries to start a worker failed; the last one: "
            "OSError: the disk is on fire"
        )


def test_the_reason_of_a_worker_that_is_killed_while_it_starts_is_the_signal(
    tmp_path: Path,
) -> None:
    def die(reporter: Reporter) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    with supervised(tmp_path, die) as supervisor:
        assert supervisor.exit_status() == EXIT_GAVE_UP
        assert "it was ended by SIGKILL; the machine may be out of memory" in supervisor.log


def test_a_worker_that_serves_keeps_the_service_alive_although_others_cannot_start(
    tmp_path: Path,
) -> None:
    def only_the_first_can_start(reporter: Reporter) -> int:
        try:
            (tmp_path / "first").touch(exist_ok=False)
        except FileExistsError:
            return FATAL
        return serve_for_ever(reporter)

    with supervised(tmp_path, only_the_first_can_start) as supervisor:
        until(lambda: len(supervisor.workers) == 4)
        until(lambda: len(supervisor.running) == 1)
        assert alive(supervisor.pid)
        os.kill(supervisor.pid, signal.SIGTERM)
        assert supervisor.exit_status() == 0


def test_a_worker_that_was_ready_is_replaced_at_once_however_often_it_dies(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=1) as supervisor:
        for count in range(1, 12):
            until(lambda: len(supervisor.workers) == count)  # noqa: B023 - called at once
            until(lambda: len(supervisor.running) == 1)
            time.sleep(0.02)  # it reports that it is ready
            os.kill(next(iter(supervisor.running)), signal.SIGKILL)
        until(lambda: len(supervisor.workers) == 12)
        assert "before it was ready" not in supervisor.log


def test_a_worker_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    policy = Policy(stop_timeout_s=0.3, heartbeat_timeout_s=1.0)
    with supervised(tmp_path, beat_for_ever, policy=policy) as supervisor:
        until(lambda: len(supervisor.workers) == 2)
        hanging, other = sorted(supervisor.workers)
        os.kill(hanging, signal.SIGSTOP)
        until(lambda: len(supervisor.workers) == 3)
        assert not alive(hanging)
        assert alive(other)
        assert f"worker {hanging} has not run for 1 s, and is killed" in supervisor.log


def test_workers_that_were_suspended_together_with_their_supervisor_are_kept(
    tmp_path: Path,
) -> None:
    policy = Policy(stop_timeout_s=0.3, heartbeat_timeout_s=1.0)
    with supervised(tmp_path, beat_for_ever, policy=policy) as supervisor:
        until(lambda: len(supervisor.workers) == 2)
        everybody = (supervisor.pid, *supervisor.workers)
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2.0)
        os.kill(supervisor.pid, signal.SIGCONT)
        time.sleep(0.3)
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.5)
        assert len(supervisor.workers) == len(supervisor.running) == 2


@pytest.mark.parametrize("times", [1, 2])
def test_sighup_replaces_the_workers_one_by_one(tmp_path: Path, times: int) -> None:
    with supervised(tmp_path, workers=3) as supervisor:
        until(lambda: len(supervisor.workers) == 3)
        before = supervisor.workers
        for _ in range(times):
            os.kill(supervisor.pid, signal.SIGHUP)
            time.sleep(0.01)
        least = most = 3
        while supervisor.running & before or len(supervisor.running) != 3:
            least, most = (f(b, len(supervisor.running)) for f, b in ((min, least), (max, most)))
            time.sleep(0.002)
        assert least >= 3
        assert most <= 5
        assert len(supervisor.workers) <= 3 + 3 * times  # fewer if the signals come together
        assert alive(supervisor.pid)


def test_a_restart_whose_first_worker_cannot_start_keeps_the_others(tmp_path: Path) -> None:
    def the_third_fails(reporter: Reporter) -> int:
        return (fail if len(list(tmp_path.glob("*.pid"))) > 2 else serve_for_ever)(reporter)

    with supervised(tmp_path, the_third_fails) as supervisor:
        until(lambda: len(supervisor.running) == 2)
        before = supervisor.workers
        os.kill(supervisor.pid, signal.SIGHUP)
        until(lambda: "the restart ends" in supervisor.log)
        assert "OSError: the disk is on fire" in supervisor.log
        assert supervisor.running == before


def test_a_worker_that_is_killed_during_a_restart_leaves_the_number_of_workers_as_it_was(
    tmp_path: Path,
) -> None:
    with supervised(tmp_path, workers=3) as supervisor:
        until(lambda: len(supervisor.workers) == 3)
        before = supervisor.workers
        os.kill(supervisor.pid, signal.SIGHUP)
        os.kill(max(before), signal.SIGKILL)
        until(lambda: not supervisor.running & before)
        time.sleep(0.2)
        assert len(supervisor.running) == 3


def test_a_worker_with_far_more_connections_than_another_is_asked_to_shed_some(
    tmp_path: Path,
) -> None:
    def serve_connections(reporter: Reporter) -> int:
        """The first worker has 20 connections until it sheds some; all others have none."""
        pid = os.getpid()
        signal.signal(SPREAD, lambda *_: (tmp_path / f"{pid}.shed").touch())
        try:
            (tmp_path / "first").touch(exist_ok=False)
            connections = 20
        except FileExistsError:
            connections = 0
        time.sleep(0.2)
        reporter.ready()
        while True:
            reporter.beat(connections)
            time.sleep(0.1)

    with supervised(tmp_path, serve_connections, workers=3) as supervisor:
        until(lambda: len(supervisor.running) == 3)
        time.sleep(1.0)  # the start of the last worker is announced to the others
        for file in tmp_path.glob("*.shed"):
            file.unlink()
        until(lambda: len(list(tmp_path.glob("*.shed"))) == 1)
        time.sleep(0.3)
        assert len(list(tmp_path.glob("*.shed"))) == 1


def test_a_stop_is_announced_before_clients_are_refused(tmp_path: Path) -> None:
    policy = Policy(stop_timeout_s=0.3, delay_s=0.5)
    with supervised(tmp_path, policy=policy) as supervisor:
        until(lambda: len(supervisor.workers) == 2)
        os.kill(supervisor.pid, signal.SIGTERM)
        until((tmp_path / "announced").exists)
        assert not (tmp_path / "refused").exists()
        assert len(supervisor.running) == 2
        assert supervisor.exit_status() == 0
        assert (tmp_path / "refused").exists()


def test_a_signal_to_a_worker_that_just_started_does_not_stop_the_others(tmp_path: Path) -> None:
    """Until a worker has handlers of its own, it shares the pipe in which its parent waits."""
    code = (
        "import os, pathlib, signal, sys\n"
        "from app.server.supervisor import Policy, Supervisor\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "fork = os.fork\n"
        "def fork_and_signal():\n"
        "    pid = fork()\n"
        "    if pid == 0 and not list(folder.glob('first')):\n"
        "        (folder / 'first').touch()\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return pid\n"
        "os.fork = fork_and_signal\n"
        "def work(reporter):\n"
        "    (folder / f'{os.getpid()}.pid').touch()\n"
        "    signal.pause()\n"
        "Supervisor(work, 1, policy=Policy(stop_timeout_s=1), metrics=folder).run()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as process:
        until(lambda: len(list(tmp_path.glob("*.pid"))) == 1)
        assert process.poll() is None
        process.terminate()
        assert process.wait(timeout=10) == 0
