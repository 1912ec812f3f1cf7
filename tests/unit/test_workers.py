import os
import signal
import threading
import time
from pathlib import Path

import pytest

from app.server.supervisor import Supervisor


def supervisor(work: object, folder: Path, count: int = 2) -> Supervisor:
    return Supervisor(
        work,  # type: ignore[arg-type]
        count,
        stop_timeout_s=1.0,
        fatal=frozenset({2}),
        metrics=folder,
    )


def run_in_a_process(folder: Path, body: str) -> int:
    """A supervisor of its own process, since signals and forks belong to a process."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 99
    try:
        status = {"fatal": fatal, "stopped": stopped, "stubborn": stubborn}[body](folder)
    finally:
        os._exit(status)


def fatal(folder: Path) -> int:
    return supervisor(lambda: 2, folder).run()


def stopped(folder: Path) -> int:
    def work() -> int:
        time.sleep(60)
        return 0

    return _until_two_lines(folder, work)


def stubborn(folder: Path) -> int:
    def work() -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (folder / f"{os.getpid()}.ready").touch()
        time.sleep(60)
        return 0

    return _until_two_lines(folder, work, ready="*.ready")


def _until_two_lines(folder: Path, work: object, ready: str = "*.pid") -> int:
    def noted() -> int:
        (folder / f"{os.getpid()}.pid").touch()
        return work()  # type: ignore[operator, no-any-return]

    def stop_when_ready() -> None:
        while len(list(folder.glob(ready))) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    # Before the thread starts, so that it inherits the mask and the signal waits for sigtimedwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=stop_when_ready, daemon=True).start()
    return supervisor(noted, folder).run()


@pytest.mark.parametrize("body", ["stopped", "stubborn"])
def test_all_workers_are_gone_after_a_signal_even_those_that_refuse(
    tmp_path: Path, body: str
) -> None:
    assert run_in_a_process(tmp_path, body) == 0
    pids = [int(file.stem) for file in tmp_path.glob("*.pid")]
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_that_cannot_start_ends_all_with_its_status(tmp_path: Path) -> None:
    assert run_in_a_process(tmp_path, "fatal") == 2
