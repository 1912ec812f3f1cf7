"""Compare HTTP servers for the same app: CPU time of a request for one image, and slow clients.

    .venv/bin/python -m benchmarks.http_servers [--requests 2000] [--rounds 5] [--record]

The service as it runs, uvicorn as it comes, Granian and Hypercorn each run the app in one worker, in
turn. Servers that are not installed are left out (`.venv/bin/pip install granian hypercorn`). A
connection counts as open if the server has not closed it within --patience.
"""

import argparse
import contextlib
import importlib.util
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from fastapi import FastAPI

from app.asgi import create_app
from app.settings import read_settings
from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record, table

CHECKOUT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
STARTS_WITHIN_S = 60.0
STOPS_WITHIN_S = 10.0
_HEAD = b"Host: x\r\n"
SLOW: dict[str, bytes] = {
    "sends nothing": b"",
    "headers without end": b"GET / HTTP/1.1\r\n" + _HEAD + b"A: b",
    "body without end": b"POST /encode HTTP/1.1\r\n"
    + _HEAD
    + b"Content-Type: image/png\r\nContent-Length: 100000\r\n\r\nx",
    "idle after an answer": b"GET /healthz HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "reads no archive": b"GET /generate?n=10000&format=zip HTTP/1.1\r\n" + _HEAD + b"\r\n",
}
"""Bytes that each kind of slow client sends before it waits."""
LARGE = b"GET /healthz HTTP/1.1\r\n" + _HEAD + b"A: " + b"v" * 1_000_000 + b"\r\n\r\n"

_APP = "benchmarks.http_servers:app"
_UVICORN = "--no-access-log --no-proxy-headers --no-server-header --ws none"
_GRANIAN = "--interface asgi --loop uvloop --no-ws --workers 1"
SERVERS = {
    "zserve": "-m app --port {port}",
    "uvicorn": f"-m uvicorn --factory {_APP} --port {{port}} {_UVICORN}",
    "granian": f"-m granian --factory {_APP} --port {{port}} {_GRANIAN}",
    "hypercorn": f"-m hypercorn {_APP}() --bind {HOST}:{{port}} --worker-class uvloop",
}
"""Server -> arguments of Python."""


def app() -> FastAPI:
    """Create the app, for servers that are given its name."""
    return create_app(read_settings())


@dataclass
class Measured:
    """The measurements of one server."""

    cpu_us: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    closed_after: dict[str, str] = field(default_factory=dict)
    large_head: str = ""


@contextlib.contextmanager
def started(name: str) -> Iterator[tuple[int, int]]:
    """Start a server; yield its process id and port."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = SERVERS[name].format(port=port).split()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=CHECKOUT, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + STARTS_WITHIN_S
            while not is_ready(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    sys.exit(f"{name} did not start:\n{log.read()[-2000:]}")
                time.sleep(0.1)
            yield process.pid, port
        finally:
            process.terminate()
            try:
                process.wait(STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:  # uvicorn waits for the client that reads nothing
                process.kill()
                process.wait()


def is_ready(port: int) -> bool:
    """Return True once the service answers."""
    connection = HTTPConnection(HOST, port, timeout=5)
    with contextlib.suppress(OSError), contextlib.closing(connection):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its children, including those that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(int(value) for value in fields[11:15])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return ticks / os.sysconf("SC_CLK_TCK") + sum(cpu_seconds(int(child)) for child in children)


def measure(pid: int, port: int, requests: int, into: Measured) -> None:
    """Ask for one image at a time, over one connection."""
    connection = HTTPConnection(HOST, port, timeout=30)
    with contextlib.closing(connection):
        before = 0.0
        for seed in range(-requests // 10, requests):
            if seed == 0:
                before = cpu_seconds(pid)
            begin = time.perf_counter()
            connection.request("GET", f"/generate?n=1&seed={abs(seed)}")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                sys.exit(f"the answer is {answer.status}")
            if seed >= 0:
                into.milliseconds.append((time.perf_counter() - begin) * 1e3)
        into.cpu_us.append((cpu_seconds(pid) - before) / requests * 1e6)


def try_slow_clients(port: int, patience_s: float) -> dict[str, str]:
    """Return how long each kind of slow client kept its connection."""
    with contextlib.ExitStack() as stack:
        open_ones: dict[str, socket.socket] = {}
        for kind, sent in SLOW.items():
            connection = stack.enter_context(socket.create_connection((HOST, port)))
            connection.sendall(sent)
            open_ones[kind] = connection
        begin = time.monotonic()
        closed: dict[str, str] = {}
        while open_ones and time.monotonic() - begin < patience_s:
            time.sleep(0.2)
            for kind in [kind for kind, each in open_ones.items() if not is_open(each)]:
                del open_ones[kind]
                closed[kind] = f"{time.monotonic() - begin:.0f}"
    return closed | dict.fromkeys(open_ones, "still open")


def is_open(connection: socket.socket) -> bool:
    """Look at the state of a connection, without reading."""
    established = 1
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == established


def try_large_head(port: int) -> str:
    """Return the status of a request with a header of 1 MB."""
    with socket.create_connection((HOST, port), timeout=20) as connection:
        try:
            connection.sendall(LARGE)
            match = re.match(rb"HTTP/1.1 (\d+)", connection.recv(1000))
        except OSError:
            return "reset"
    return match[1].decode() if match else "closed"


def main() -> None:
    """Measure all installed servers in turn, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000, help="requests in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for slow clients")
    add_record_option(parser)
    options = parser.parse_args()
    machine = read_machine()
    names = [n for n in SERVERS if n == "zserve" or importlib.util.find_spec(n) is not None]
    measured = {name: Measured() for name in names}
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(started(name)) for name in names}
        for _ in range(options.rounds):
            for name, (pid, port) in servers.items():
                measure(pid, port, options.requests, measured[name])
        for name, (_, port) in servers.items():
            measured[name].large_head = try_large_head(port)
            measured[name].closed_after = try_slow_clients(port, options.patience)
    head = ["server", "CPU per request, us", "p50, ms", "p99, ms", "1 MB of header", *SLOW]
    text = "The columns of slow clients are seconds until the connection was closed.\n\n"
    text += table(head, [row(name, each) for name, each in measured.items()])
    print(f"{machine.summary()}\n{text}")
    if options.record:
        values = {"cpu_us": {name: each.cpu_us for name, each in measured.items()}}
        print(f"recorded in {record('http_servers', machine, text, values)}")


def row(name: str, measured: Measured) -> list[str]:
    """Return a line of the table."""
    cuts = statistics.quantiles(measured.milliseconds, n=100)
    cpu = f"{statistics.median(measured.cpu_us):.0f}"
    closed = [measured.closed_after[kind] for kind in SLOW]
    return [name, cpu, f"{cuts[49]:.2f}", f"{cuts[98]:.2f}", measured.large_head, *closed]


if __name__ == "__main__":
    main()
