"""Check that Ray Serve answers through HAProxy, which is its fast mode.

With RAY_SERVE_ENABLE_HA_PROXY=1, Ray starts HAProxy in front of the replicas instead of a proxy in
Python. It keeps the Python proxy as a fallback, so the environment variable alone proves nothing.
HAProxy's admin socket tells which of the two the requests went to.
"""

import contextlib
import csv
import io
import socket
from collections.abc import Mapping
from pathlib import Path

from benchmarks.serving.processes import ServerProcess

FALLBACK = "SERVE_PROXY_ACTOR"
REPLICA = "SERVE_REPLICA"
TIMEOUT_S = 5


def unconfirmed_reason(process: ServerProcess) -> str | None:
    """Return why requests do not reach the replicas through HAProxy, or None if they do.

    Must be called after a load: the counts of requests are the evidence.
    """
    listeners = {pid: _arguments(pid) for pid in process.listeners()}
    configurations = [
        Path(arguments[arguments.index("-f") + 1])
        for arguments in listeners.values()
        if Path(arguments[0]).name == "haproxy" and "-f" in arguments
    ]
    if not configurations:
        programs = ", ".join(" ".join(arguments[:3]) for arguments in listeners.values())
        return f"its port is served by {programs or 'no process'}, not by HAProxy"
    try:
        statistics = _ask(configurations[0].parent / "admin.sock", "show stat")
    except OSError as error:
        return f"HAProxy's admin socket does not answer: {error}"
    return misrouted_reason(requests_by_server(statistics))


def misrouted_reason(requests: Mapping[str, int]) -> str | None:
    """Return why requests by HAProxy server are not all the replicas', or None if they are."""
    fallback = sum(count for name, count in requests.items() if name.startswith(FALLBACK))
    if fallback:
        return f"HAProxy sent {fallback} requests to Ray's Python proxy"
    if not any(count for name, count in requests.items() if name.startswith(REPLICA)):
        return "HAProxy sent no request to a replica"
    return None


def requests_by_server(statistics: str) -> dict[str, int]:
    """Read HAProxy's `show stat` (CSV): server name -> total of its sessions."""
    rows = csv.DictReader(io.StringIO(statistics.removeprefix("# ")))
    return {
        row["svname"]: int(row["stot"] or 0)
        for row in rows
        if row["svname"] not in {"FRONTEND", "BACKEND"}
    }


def _arguments(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
    return [""]


def _ask(path: Path, command: str) -> str:
    """Send a command to HAProxy's admin socket and return the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(str(path))
        connection.sendall(f"{command}\n".encode())
        with connection.makefile("r") as answer:
            return answer.read()
