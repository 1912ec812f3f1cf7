"""Processes of Python that start at once: forks of one that has imported torch already.

Importing torch and what training needs takes seconds, and the pages have dozens of commands. So
the `python` of a scratch folder is `COMMAND`, which hands its arguments, folder, variables and
standard streams to the process below; that forks, and the child runs them as `python` would.
"""

import importlib
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path
from typing import Any

IMPORTED = (
    *("app.engine", "fastapi", "httpx", "matplotlib.pyplot", "model_store", "optuna"),
    *("tensorboard.summary", "training.commands", "uvicorn", "zserve_client"),
)
"""Not app.main: prometheus_client decides when it is imported how workers count."""

COMMAND = """\
#!{python} -S
import json, os, signal, socket, sys
request = dict(arguments={arguments!r} + sys.argv[1:], folder=os.getcwd(), variables=dict(os.environ))
with socket.socket(socket.AF_UNIX) as parent:
    parent.connect({address!r})
    socket.send_fds(parent, [b"."], [0, 1, 2])
    parent.sendall(json.dumps(request).encode())
    parent.shutdown(socket.SHUT_WR)
    reply = parent.makefile()
    pid = int(reply.readline())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    status = int(reply.readline())
sys.exit(status)
"""


def write_command(path: Path, address: str, *arguments: str) -> None:
    """A file to execute: Python with these arguments before its own."""
    path.write_text(
        COMMAND.format(python=sys.executable, arguments=list(arguments), address=address)
    )
    path.chmod(0o755)


def next_request(address: str) -> dict[str, Any]:
    """Serve for ever; each fork comes out of it with what it is to run."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(16)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the attendants
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    request: dict[str, Any] = json.load(connection.makefile())
    pid = os.fork()
    if pid:
        connection.sendall(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    return request


def run(request: dict[str, Any]) -> None:
    """What `python ARGUMENTS` does, for a script and for -m."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["variables"])
    first, *others = request["arguments"]
    if first == "-m":
        sys.argv = others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *others]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    run(next_request(sys.argv[1]))
