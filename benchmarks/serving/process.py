"""A server as a process on loopback: started, pinned, asked, weighed, and always stopped.

Every process of a server carries a mark in its environment, so that those that daemonise are
found too; they are stopped by their ids.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "ZSERVE_BENCHMARK"
READY_WITHIN_S = 180
SETTLED_WITHIN_S = 60
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
HOST = "127.0.0.1"


class ServerError(Exception):
    """A server that did not start or did not answer: it is left out, by name."""


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Memory:
    """Sums over the processes of a server, MiB; PSS shares out what several of them map."""

    rss_mb: float
    pss_mb: float
    processes: int


@dataclass
class Running:
    """A server that has started."""

    port: int
    mark: str
    log: Path
    ready_s: float = 0.0

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://{HOST}:{self.port}{path}"

    def end_of_log(self) -> str:
        """What it said last."""
        return self.log.read_text(errors="replace")[-1200:]

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        timeout_s: float = 30,
        etag: str | None = None,
    ) -> Answer:
        """One request on a connection of its own; raises OSError or HTTPException."""
        headers = {"Content-Type": "application/json"} if body else {}
        if etag is not None:
            headers["If-None-Match"] = etag
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def settle(self) -> None:
        """Wait until what a load left behind is computed; raises ServerError where that lasts.

        It has settled when hardly any of several looks finds a thread that runs or wants to: CPU
        time alone says nothing where the machine is busy with something else.
        """
        deadline = time.monotonic() + SETTLED_WITHIN_S
        while time.monotonic() < deadline:
            busy = 0
            for _ in range(6):
                time.sleep(0.02)
                busy += self._wants_to_run()
            if busy <= 1:
                return
        raise ServerError(f"it still computes {SETTLED_WITHIN_S} s after its clients have gone")

    def _wants_to_run(self) -> bool:
        return any(
            _state_and_ticks(file)[0] == "R"
            for pid in _marked(self.mark)
            for file in Path(f"/proc/{pid}/task").glob("*/stat")
        )

    def pause(self) -> None:
        """Stop the clock of its processes: what waits still polls, and would disturb another."""
        _send(signal.SIGSTOP, _marked(self.mark))

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Goes on within, is paused after it."""
        _send(signal.SIGCONT, _marked(self.mark))
        try:
            yield
        finally:
            self.pause()

    def cpu_s(self) -> float:
        """CPU time of its living processes so far, seconds."""
        files = (Path(f"/proc/{pid}/stat") for pid in _marked(self.mark))
        return sum(_state_and_ticks(file)[1] for file in files) / _TICKS_PER_S

    def memory(self) -> Memory:
        """What its processes hold now."""
        rss = pss = 0
        found = list(_marked(self.mark))
        for pid in found:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    name, _, value = line.partition(":")
                    if name in {"Rss", "Pss"}:
                        kib = int(value.split()[0])
                        rss, pss = (rss + kib, pss) if name == "Rss" else (rss, pss + kib)
        return Memory(rss / 1024, pss / 1024, len(found))


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(
    command: Sequence[str],
    *,
    port: int,
    cores: set[int],
    variables: Mapping[str, str],
    folder: Path,
    log: Path,
    first: tuple[str, str, bytes | None],
) -> Iterator[Running]:
    """Start a server on `cores` and wait until it answers `first` (method, path, body) with 200.

    Stopped at the end whatever happens; raises ServerError with the end of its log.
    """
    running = Running(port, uuid.uuid4().hex, log)
    environment = {**os.environ, **variables, MARK: running.mark}
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - no threads here
        )
        try:
            _wait(running, process, first)
            running.ready_s = time.perf_counter() - began
            yield running
        finally:
            stop(process, running.mark)


def stop(process: "subprocess.Popen[bytes]", mark: str, patience_s: float = 8) -> None:
    """Ask the process to end, and then kill what is left of its tree, each by its id."""
    _send(signal.SIGCONT, _marked(mark))
    if process.poll() is None:
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience_s)
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = list(_marked(mark))
        _send(number, left)
        deadline = time.monotonic() + 2
        while left and time.monotonic() < deadline and any(True for _ in _marked(mark)):
            process.poll()
            time.sleep(0.05)
    process.wait()


def _send(number: signal.Signals, pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _wait(
    running: Running,
    process: "subprocess.Popen[bytes]",
    first: tuple[str, str, bytes | None],
) -> None:
    method, path, body = first
    deadline = time.monotonic() + READY_WITHIN_S
    said = "it did not answer"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = running.ask(method, path, body)
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
            continue
        if answer.status == 200:
            return
        if answer.status == 500:  # a fault of its own, not "not yet"
            raise ServerError(f"it answered 500; the end of its log:\n{running.end_of_log()}")
        said = f"it answered {answer.status}: {answer.body[:200]!r}"
        time.sleep(0.02)
    if process.poll() is not None:
        said = f"it ended with status {process.returncode}"
    raise ServerError(
        f"{said} within {READY_WITHIN_S} s; the end of its log:\n{running.end_of_log()}"
    )


def _state_and_ticks(file: Path) -> tuple[str, int]:
    """State, and user and system time, from a stat file of /proc; those of one that has ended."""
    try:
        after_name = file.read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return after_name[0], int(after_name[11]) + int(after_name[12])


def _marked(mark: str) -> Iterator[int]:
    """Ids of the living processes that carry the mark."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)
