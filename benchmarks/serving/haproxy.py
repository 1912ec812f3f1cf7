"""Check that Ray Serve answers through HAProxy, which is its fast mode.

With RAY_SERVE_ENABLE_HA_PROXY=1, Ray starts HAProxy in front of the replicas instead of a proxy in
Python. It keeps the Python proxy as a fallback, which answers the first requests after a start, so
the environment variable alone proves nothing. HAProxy's admin socket reports the number of requests
to each replica.
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
    """Return why a load did not reach the replicas through HAProxy, or None if it did.

    clear_counters must be called before the load.
    """
    socket_path = _admin_socket(process)
    if socket_path is None:
        programs = ", ".join(" ".join(_arguments(pid)[:3]) for pid in process.listeners())
        return f"its port is served by {programs or 'no process'}, not by HAProxy"
    try:
        statistics = _ask(socket_path, "show stat")
    except OSError as error:
        return f"HAProxy's admin socket does not answer: {error}"
    return misrouted_reason(requests_by_server(statistics))


def clear_counters(process: ServerProcess) -> None:
    """Set HAProxy's counters of requests to 0; do nothing if HAProxy does not serve the port."""
    socket_path = _admin_socket(process)
    if socket_path is not None:
        with contextlib.suppress(OSError):  # unconfirmed_reason reports it after the load
            _ask(socket_path, "clear counters all")


def misrouted_reason(requests: Mapping[str, int]) -> str | None:
    """Return why some requests (counts by HAProxy server) missed the replicas; None if none did."""
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


def _admin_socket(process: ServerProcess) -> Path | None:
    """Return the admin socket of the HAProxy that listens on the server's port, if one does.

    Ray creates the socket in the folder of HAProxy's configuration file.
    """
    for arguments in map(_arguments, process.listeners()):
        if Path(arguments[0]).name == "haproxy" and "-f" in arguments:
            return Path(arguments[arguments.index("-f") + 1]).parent / "admin.sock"
    return None


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
