"""Start a server on loopback, pin it to cores, measure its CPU time and memory, and stop it.

Each process of a server has a unique mark in its environment. It identifies child processes even
if they became daemons, and they are stopped by their process ids.
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
READY_WITHIN_S = 300
"""Longest time to the first answer (s)."""
SETTLED_WITHIN_S = 60
"""Longest time that a server may compute after a load (s)."""
_LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
HOST = "127.0.0.1"

Request = tuple[str, str, bytes | None]
"""Method, path and body."""


class ServerError(Exception):
    """A server did not start or did not answer; it is left out of the run."""


@dataclass(frozen=True)
class HttpResponse:
    """Response to one request; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Memory:
    """Memory of all processes of a server, MiB; PSS divides shared pages among processes."""

    rss_mb: float
    pss_mb: float
    processes: int


@dataclass
class ServerProcess:
    """The processes of a server that was started, and the port it listens on."""

    port: int
    mark: str
    log: Path
    ready_s: float = 0.0

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://{HOST}:{self.port}{path}"

    def end_of_log(self) -> str:
        """Return the last lines of the server's log."""
        return self.log.read_text(errors="replace")[-1200:]

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        timeout_s: float = 30,
        etag: str | None = None,
    ) -> HttpResponse:
        """Send one request on a new connection; raises OSError or HTTPException."""
        headers = {"Content-Type": "application/json"} if body else {}
        if etag is not None:
            headers["If-None-Match"] = etag
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return HttpResponse(response.status, names, response.read())
        finally:
            connection.close()

    def settle(self) -> None:
        """Wait until the work left over from a load is done; raise ServerError after a minute.

        The server is idle if at most one of several checks sees a runnable thread. CPU time would
        be misleading: on a busy machine, a thread with work to do may get no CPU time.
        """
        deadline = time.monotonic() + SETTLED_WITHIN_S
        while time.monotonic() < deadline:
            busy = 0
            for _ in range(6):
                time.sleep(0.02)
                busy += self._has_runnable_thread()
            if busy <= 1:
                return
        raise ServerError(f"it still computes {SETTLED_WITHIN_S} s after the end of its load")

    def _has_runnable_thread(self) -> bool:
        return any(
            _state_and_ticks(file)[0] == "R"
            for pid in _marked(self.mark)
            for file in Path(f"/proc/{pid}/task").glob("*/stat")
        )

    def pause(self) -> None:
        """Suspend the server's processes, so that no polling disturbs another server's load."""
        _send(signal.SIGSTOP, _marked(self.mark))

    @contextlib.contextmanager
    def resumed(self) -> Iterator[None]:
        """Resume the server's processes within the block, and suspend them afterwards."""
        _send(signal.SIGCONT, _marked(self.mark))
        try:
            yield
        finally:
            self.pause()

    def cpu_s(self) -> float:
        """Return the CPU time (s) that the server's living processes have used so far."""
        files = (Path(f"/proc/{pid}/stat") for pid in _marked(self.mark))
        return sum(_state_and_ticks(file)[1] for file in files) / _TICKS_PER_S

    def listeners(self) -> list[int]:
        """Return the ids of the server's processes that listen on the server's port."""
        sockets = _listening_sockets(self.port)
        pids = []
        for pid in _marked(self.mark):
            with contextlib.suppress(OSError):  # a process may end meanwhile
                files = {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
                pids += [pid] if files & sockets else []
        return pids

    def memory(self) -> Memory:
        """Return the memory that the server's processes use now."""
        rss = pss = 0
        pids = list(_marked(self.mark))
        for pid in pids:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    name, _, value = line.partition(":")
                    if name in {"Rss", "Pss"}:
                        kib = int(value.split()[0])
                        rss, pss = (rss + kib, pss) if name == "Rss" else (rss, pss + kib)
        return Memory(rss / 1024, pss / 1024, len(pids))


def _listening_sockets(port: int) -> set[str]:
    """Return the /proc names, such as `socket:[123]`, of TCP sockets that listen on `port`."""
    names = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                _, local, _, state, *rest = line.split()
                if state == _LISTEN and int(local.rpartition(":")[2], 16) == port:
                    names.add(f"socket:[{rest[5]}]")
    return names


def free_port() -> int:
    """Return a free port of the loopback interface."""
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
    first: Request,
) -> Iterator[ServerProcess]:
    """Start a server on `cores` and wait until it answers `first` (method, path, body) with 200.

    It is stopped at the end of the block in any case. Raises ServerError with the end of its log.
    """
    running = ServerProcess(port, uuid.uuid4().hex, log)
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


def stop(process: "subprocess.Popen[bytes]", mark: str, grace_s: float = 8) -> None:
    """Terminate the process, then kill the remaining marked processes by their ids."""
    _send(signal.SIGCONT, _marked(mark))
    if process.poll() is None:
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
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
    running: ServerProcess,
    process: "subprocess.Popen[bytes]",
    first: Request,
) -> None:
    method, path, body = first
    deadline = time.monotonic() + READY_WITHIN_S
    failure = "it did not answer"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = running.request(method, path, body)
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
            continue
        if answer.status == 200:
            return
        if answer.status == 500:  # an error in the server; waiting longer would not help
            raise ServerError(f"it answered 500; the end of its log:\n{running.end_of_log()}")
        failure = f"it answered {answer.status}: {answer.body[:200]!r}"
        time.sleep(0.02)
    if process.poll() is not None:
        failure = f"it ended with status {process.returncode}"
    raise ServerError(
        f"{failure} within {READY_WITHIN_S} s; the end of its log:\n{running.end_of_log()}"
    )


def _state_and_ticks(file: Path) -> tuple[str, int]:
    """Read state and CPU ticks (user and system) of a /proc stat file; "X" if the task ended."""
    try:
        after_name = file.read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return after_name[0], int(after_name[11]) + int(after_name[12])


def _marked(mark: str) -> Iterator[int]:
    """Yield the ids of the living processes with this mark."""
    entry = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if entry in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)
