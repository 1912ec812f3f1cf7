"""Nodes of a Ray cluster, each started by `ray start` on this machine."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import ray

CHECKOUT = Path(__file__).parents[2]
HOST = "127.0.0.1"
START_S = 300.0
"""Longest wait for a start on a busy machine, in seconds."""
MARK = "CLUSTER_TEST_NODE"
"""Variable with the id of a node, in the environment of each of its processes."""

VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "PYTHONPATH": str(CHECKOUT),
    # A busy machine takes longer for a start than Ray waits by default.
    "RAY_agent_register_timeout_ms": f"{START_S * 1000:.0f}",
    "RAY_gcs_server_port_wait_time_s": f"{START_S:.0f}",
    "RAY_gcs_server_request_timeout_seconds": f"{START_S:.0f}",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    "RAY_worker_register_timeout_seconds": f"{START_S:.0f}",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": f"{START_S:.0f}",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # the tests measure no memory
}


class Node:
    """The processes of one node."""

    def __init__(
        self, folder: Path, address: str, variables: Mapping[str, str], *words: str
    ) -> None:
        self._mark = uuid.uuid4().hex
        self.log = folder / f"node-{self._mark}.log"
        command = [program("ray"), "start", "--block", "--disable-usage-stats"]
        command += ["--node-ip-address", HOST, "--num-cpus", "1", "--num-gpus", "0"]
        command += ["--object-store-memory", str(80 * 2**20), "--include-log-monitor", "false"]
        command += ["--min-worker-port", "0", "--max-worker-port", "0"]
        for name in ("dashboard-agent-grpc", "dashboard-agent-listen", "runtime-env-agent"):
            command += [f"--{name}-port", str(free_port())]
        command += ["--metrics-export-port", str(free_port())]
        if "--head" not in words:
            command += ["--address", address]
        with self.log.open("w") as output:
            self._process = subprocess.Popen(
                [*command, *words],
                env=environment(variables) | {MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_come_first,  # noqa: PLW1509 - it calls nothing that another thread holds
            )

    def check(self) -> None:
        """Raise AssertionError if the node has ended."""
        assert self._process.poll() is None, self.log.read_text()[-3000:]

    def settle(self) -> None:
        """Take back the priority that the node was started with."""
        for pid in self._pids():
            _set_priority(pid, 0)

    def kill(self) -> float:
        """End all processes of the node at once, as a power cut does; return the time of the last end."""
        pids = list(self._pids())
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(timeout=30)
        while any(self._pids()):  # on a busy machine a killed process ends when it is scheduled
            time.sleep(0.001)
        return time.monotonic()

    def stop(self) -> None:
        """Stop the node, and end what is left of it."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=30)
        deadline = time.monotonic() + 10
        while any(self._pids()) and time.monotonic() < deadline:
            time.sleep(0.1)
        while any(self._pids()):
            self.kill()

    def _pids(self) -> Iterator[int]:
        entry = f"{MARK}={self._mark}".encode()
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    if entry in (folder / "environ").read_bytes().split(b"\0"):
                        yield int(folder.name)


class Cluster:
    """A head node and others; this process is connected as a driver."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.address = f"{HOST}:{free_port()}"
        self._folder, self._variables = folder, variables
        self._head = Node(
            folder,
            self.address,
            variables,
            *("--head", "--port", self.address.rpartition(":")[2]),
            *("--include-dashboard", "false", "--temp-dir", str(folder)),
            *("--ray-client-server-port", str(free_port())),
        )
        self._others: list[Node] = []

    def connect(self) -> None:
        """Wait for the head node, and connect this process."""

        def is_connected() -> bool:
            self._head.check()
            with contextlib.suppress(ConnectionError, RuntimeError, ValueError):
                ray.init(self.address, namespace="tests", log_to_driver=False)
            return bool(ray.is_initialized())

        until(is_connected)
        self._head.settle()

    def add(self, count: int) -> None:
        """Start nodes, and wait until Ray uses them."""
        for _ in range(count):
            self._add_one()

    def _add_one(self) -> None:
        alive = self.alive()
        node = Node(self._folder, self.address, self._variables)
        self._others.append(node)

        def is_alive() -> bool:
            node.check()
            return self.alive() > alive

        until(is_alive)
        node.settle()

    def kill_one(self) -> float:
        """Kill a node that is not the head; return the time at which it was dead."""
        return self._others.pop().kill()

    def alive(self) -> int:
        """Return the number of nodes that Ray believes to be alive."""
        return sum(node["Alive"] for node in ray.nodes())

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the user on the head node."""
        return subprocess.run(
            [program(command[0]), *command[1:]],
            env=environment(self._variables) | {"RAY_ADDRESS": self.address},
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
        )

    def disconnect(self) -> None:
        """End the connection of this process."""
        ray.shutdown()

    def stop(self) -> None:
        """Disconnect, and stop all nodes."""
        self.disconnect()
        for node in [*self._others, self._head]:
            node.stop()


@contextlib.contextmanager
def cluster(nodes: int, variables: Mapping[str, str]) -> Iterator[Cluster]:
    """Start a cluster of some nodes."""
    folder = Path(tempfile.mkdtemp(prefix="zr-"))  # short: Ray has sockets in it
    cluster = Cluster(folder, variables)
    try:
        cluster.connect()
        cluster.add(nodes - 1)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _come_first() -> None:
    """Run before others, if this user may: Ray gives a node 15 s until its agent listens."""
    _set_priority(os.getpid(), -15)


def _set_priority(pid: int, nice: int) -> None:
    """Set the niceness of a process and of its session, which Linux may schedule as a group."""
    process = Path(f"/proc/{pid}")
    with contextlib.suppress(OSError):
        (process / "autogroup").write_text(str(nice))
        for task in (process / "task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(task.name), nice)


def program(name: str) -> str:
    """Return the path of a program of this environment."""
    return str(Path(sys.executable).parent / name)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ZSERVE_")}
    return kept | VARIABLES | dict(variables)


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], longest_s: float = START_S) -> float:
    """Wait until a condition holds, and return the seconds that took."""
    started = time.monotonic()
    while time.monotonic() - started < longest_s:
        with contextlib.suppress(httpx.HTTPError):
            if condition():
                return time.monotonic() - started
        time.sleep(0.2)
    raise AssertionError(f"still not so after {longest_s} s")
