"""A service as a process of its own, and what can be seen of it from outside."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

CHECKOUT = Path(__file__).parents[2]
START_S = 120.0
"""Longest time (s) that a service may take to start."""


class Service:
    """Runs `python -m app`; use it as a context. Port 0 chooses a free port.

    Attributes:
        url: Address, once `ready` has returned.
    """

    def __init__(
        self,
        *options: str,
        workers: int = 1,
        port: int = 0,
        stderr: int | None = None,
        preexec: Callable[[], None] | None = None,
        **variables: str,
    ) -> None:
        self._command = [sys.executable, "-m", "app", "--port", str(port), *options]
        self._environment = {**os.environ, **variables, "ZSERVE_WORKERS": str(workers)}
        self._environment.setdefault("ZSERVE_DEVICE", "cpu")
        self._stderr = stderr
        self._preexec = preexec
        self.workers_wanted = workers
        self.url = f"http://127.0.0.1:{port}"

    async def __aenter__(self) -> Self:
        with tempfile.NamedTemporaryFile(prefix="zserve-chaos-", delete=False) as log:
            self._log = Path(log.name)
            self.process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs
                self._command,
                cwd=CHECKOUT,
                env=self._environment,
                stdout=subprocess.DEVNULL,
                stderr=log if self._stderr is None else self._stderr,
                preexec_fn=self._preexec,  # noqa: PLW1509 - one thread runs here
            )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(TimeoutError):
                await self.until(lambda: self.process.poll() is not None, 40.0)
            self.process.kill()
        self.process.wait()
        self._log.unlink(missing_ok=True)

    @property
    def log(self) -> str:
        """Text that the service has written to stderr."""
        return self._log.read_text()

    @property
    def starts(self) -> int:
        """Number of times that a worker became ready."""
        return self.log.count("serving on http")

    @property
    def workers(self) -> list[int]:
        """Process ids of the processes that serve, in the order of their start."""
        if self.workers_wanted == 1:
            return [self.process.pid]
        pids = _children(self.process.pid)
        started = [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", self.log)]
        return [pid for pid in started if pid in pids and alive(pid)]

    async def ready(self) -> Self:
        """Wait until all workers serve; raises RuntimeError if the service ends."""
        await self.until(
            lambda: self.starts >= self.workers_wanted or self.process.poll() is not None, START_S
        )
        if self.process.poll() is not None:
            raise RuntimeError(f"the service did not start:\n{self.log[-3000:]}")
        self.url = re.findall(r"serving on (http://\S+)", self.log)[0]
        return self

    @property
    def _port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> float:
        """Wait for a condition, and return the seconds it took; raises TimeoutError."""
        begin = time.monotonic()
        while not condition():
            if time.monotonic() > begin + timeout_s:
                raise TimeoutError(f"not within {timeout_s:.0f} s; the log:\n{self.log[-3000:]}")
            await asyncio.sleep(0.01)
        return time.monotonic() - begin

    async def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 60.0) -> float:
        """Send a signal to the service, and return the seconds until it has ended."""
        self.process.send_signal(number)
        return await self.until(lambda: self.process.poll() is not None, timeout_s)

    def connectable(self) -> bool:
        """Return True if the service accepts connections."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 5.0):
            return True
        return False

    def client_ports(self, pid: int) -> set[int]:
        """Return the ports of the clients whose connections a process holds."""
        inodes = set()
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                inodes.add(fd.readlink().name)
        ports = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            local, remote = (int(fields[i].rsplit(":", 1)[1], 16) for i in (1, 2))
            if local == self._port and remote and f"socket:[{fields[9]}]" in inodes:
                ports.add(remote)
        return ports


def alive(pid: int) -> bool:
    """Return True if a process runs."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def free_port() -> int:
    """Return a port that nobody uses at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _children(pid: int) -> set[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with suppress(OSError):
        return {int(child) for child in children.read_text().split()}
    return set()
