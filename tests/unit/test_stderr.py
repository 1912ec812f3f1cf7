import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.server.stderr import MAX_WAITING_BYTES, ThreadedStderr, threaded_stderr

LINE = "x" * 99 + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        os.close(end)


def read(fd: int, size: int) -> str:
    data = b""
    while len(data) < size:
        data += os.read(fd, 65536)
    return data.decode()


def test_lines_arrive_in_their_order(pipe: tuple[int, int]) -> None:
    stream = ThreadedStderr(pipe[1])
    lines = [f"line {i} ü\n" for i in range(1000)]
    for line in lines:
        stream.write(line)
    stream.drain()
    text = "".join(lines)
    assert read(pipe[0], len(text.encode())) == text


def test_a_blocked_reader_does_not_block_the_writer_and_dropped_lines_are_counted(
    pipe: tuple[int, int],
) -> None:
    stream = ThreadedStderr(pipe[1])
    count = 2 * MAX_WAITING_BYTES // len(LINE)
    for _ in range(count):  # a pipe takes 64 KiB: this would never return
        stream.write(LINE)
    received: list[str] = []

    def read_all() -> None:
        while "dropped" not in "".join(received[-2:]):
            received.append(os.read(pipe[0], 65536).decode())

    reader = threading.Thread(target=read_all)
    reader.start()
    reader.join(timeout=20)
    assert not reader.is_alive()
    *lines, last = "".join(received).splitlines()
    assert len(lines) >= MAX_WAITING_BYTES // len(LINE)
    assert last == f"zserve: {count - len(lines)} lines were dropped while stderr was blocked"
    stream.write("further\n")
    assert os.read(pipe[0], 100) == b"further\n"


def test_the_end_of_a_process_waits_for_a_blocked_stderr_only_a_moment(
    pipe: tuple[int, int],
) -> None:
    stream = ThreadedStderr(pipe[1])
    stream.write(LINE * 2000)
    stream.drain(timeout_s=0.05)
    assert read(pipe[0], len(LINE) * 2000) == LINE * 2000


def test_a_reader_that_has_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = ThreadedStderr(writing)
    stream.write(LINE)
    stream.drain()
    os.close(writing)


def test_a_forked_child_writes_although_the_thread_of_its_parent_is_blocked(
    pipe: tuple[int, int], tmp_path: Path
) -> None:
    log = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    stream = ThreadedStderr(pipe[1])
    stream.write(LINE * 2000)
    time.sleep(0.05)  # the thread blocks in its write
    pid = os.fork()
    if pid == 0:
        os.dup2(log, pipe[1])
        stream.write("child\n")
        stream.drain()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(log)
    assert (tmp_path / "log").read_text() == "child\n"
    assert read(pipe[0], len(LINE) * 2000) == LINE * 2000


def test_stderr_is_replaced_for_a_while(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stderr
    with threaded_stderr():
        sys.stderr.write("a message\n")
        assert isinstance(sys.stderr, ThreadedStderr)
    assert sys.stderr is before
    assert capfd.readouterr().err == "a message\n"


def test_a_process_without_stderr_can_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with threaded_stderr():
        assert sys.stderr is None
