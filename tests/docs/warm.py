"""Run commands of training and of the store in a process that has already imported torch.

Importing torch and the packages of training takes seconds, and the pages have dozens of commands.
Therefore the `python` of a scratch folder is `COMMAND`. It sends `-m training` and `-m model_store`,
with its folder, variables and standard streams, to the process below, which runs them one after the
other, and runs everything else with the real Python.
"""

import importlib
import json
import os
import runpy
import socket
import sys
import traceback
from typing import Any

IMPORTED = (
    "matplotlib.pyplot",
    "model_store",
    "optuna",
    "tensorboard.summary",
    "training.cli",
)

COMMAND = """\
#!{python} -S
import json, os, socket, sys
if sys.argv[1:2] != ["-m"] or sys.argv[2] not in ("training", "model_store"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
request = dict(arguments=sys.argv[2:], folder=os.getcwd(), variables=dict(os.environ))
with socket.socket(socket.AF_UNIX) as process:
    process.connect({address!r})
    socket.send_fds(process, [b"."], [0, 1, 2])
    process.sendall(json.dumps(request).encode())
    process.shutdown(socket.SHUT_WR)
    sys.exit(int(process.makefile().read()))
"""


def serve(address: str) -> None:
    """Run requested commands until a signal ends the process."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            with connection:
                _, streams, _, _ = socket.recv_fds(connection, 1, 3)
                status = run(json.load(connection.makefile()), streams)
                connection.sendall(b"%d" % status)


def run(request: dict[str, Any], streams: list[int]) -> int:
    """Do what `python -m ARGUMENTS` does; return its exit status."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["variables"])
    sys.argv = request["arguments"]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:  # noqa: BLE001 - would end a Python process of its own
        traceback.print_exc()
        return 1
    else:
        return 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
        os.close(nowhere)


if __name__ == "__main__":
    for module in IMPORTED:
        importlib.import_module(module)
    serve(sys.argv[1])
