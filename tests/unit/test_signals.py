import os
import signal
import time
from pathlib import Path

import pytest

from app.server.signals import SignalPipe

TERM, CHILD = signal.SIGTERM, signal.SIGCHLD


def test_signals_are_returned_once() -> None:
    with SignalPipe([TERM, CHILD]) as signals:
        for number in (TERM, CHILD, CHILD):
            os.kill(os.getpid(), number)
        assert signals.wait(1.0) == {TERM, CHILD}
        assert signals.wait(0.0) == set()


def test_the_former_handlers_come_back() -> None:
    before = signal.getsignal(TERM)
    with SignalPipe([TERM]):
        assert signal.getsignal(TERM) is not before
    assert signal.getsignal(TERM) is before
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("sent", [None, TERM])
def test_a_wait_that_was_suspended_beyond_its_timeout_returns_the_signals_that_came(
    tmp_path: Path, sent: signal.Signals | None
) -> None:
    """signal.sigtimedwait of CPython 3.11 returns arbitrary numbers then."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with SignalPipe([TERM, CHILD]) as signals:
                (tmp_path / "ready").touch()
                status = 0 if signals.wait(0.3) == ({sent} if sent else set()) else 2
        finally:
            os._exit(status)
    while not (tmp_path / "ready").exists():
        time.sleep(0.005)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.5)
    if sent:
        os.kill(pid, sent)
    os.kill(pid, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
