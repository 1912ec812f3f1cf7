"""A scratch checkout for documented commands, with made data, a store and a service of its own."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.docs.warm import COMMAND
from tests.e2e.server import CHECKOUT

LINKED = ("Dockerfile", "Makefile", "clients", "docker", "docs", "requirements", "scripts")
SERVES = re.compile(r"\b(make serve|-m app|zserve serve)\b(?!.*--help)")
"""A line that starts the service, which runs until it is stopped."""
READ_ONLY = re.compile(r"^make (test|check|bench)")
"""A line that would take minutes, and is run as `make --dry-run`."""
ADDRESS = "localhost:8000"
LIMIT_S = 600
"""Longest time for a block or a start of the service, in seconds, on a busy machine."""


@dataclass
class Scratch:
    """A folder with a port of its own. A failing command raises AssertionError with its output."""

    folder: Path
    variables: Mapping[str, str]
    port: int
    _service: "subprocess.Popen[bytes] | None" = None

    def run_shell(self, text: str, **more: str) -> None:
        """Run a block of shell commands as a user would."""
        waiting: list[str] = []
        for line in logical_lines(text):
            if SERVES.search(line.partition("#")[0]):
                self._run_lines(waiting, more)
                waiting = []
                self.serve(line)
            elif READ_ONLY.match(line):
                waiting.append(line.replace("make", "make --dry-run", 1))
            else:
                waiting.append(line)
        self._run_lines(waiting, more)

    def run_python(self, text: str) -> None:
        """Run a block of Python as a script."""
        script = self.folder / ".block.py"
        script.write_text(self._here(text))
        self._run([".venv/bin/python", str(script)])

    def serve(self, line: str) -> None:
        """Start the service by a shell line, after stopping the one that runs."""
        self.stop()
        log = self.folder / "service.log"
        with log.open("w") as output:
            self._service = subprocess.Popen(
                ["/bin/bash", "-c", self._here(line)],
                cwd=self.folder,
                env=self._environment({}),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline and self._service.poll() is None:
            try:
                if httpx.get(f"http://localhost:{self.port}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"`{line}` does not serve:\n{log.read_text()}")

    def stop(self) -> None:
        """Stop the service if one runs."""
        if self._service is not None:
            os.killpg(self._service.pid, signal.SIGTERM)
            self._service.wait(timeout=40)
            self._service = None

    def _run_lines(self, lines: list[str], more: Mapping[str, str]) -> None:
        if lines:
            script = "\n".join(["set -euo pipefail", *lines])
            self._run(["/bin/bash", "-c", self._here(script)], more)

    def _run(self, command: list[str], more: Mapping[str, str] | None = None) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(more or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"{command[-1]}\n\n{done.stdout.decode(errors='replace')}"

    def _here(self, text: str) -> str:
        return text.replace(ADDRESS, f"localhost:{self.port}")

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        own = {"ZSERVE_PORT": str(self.port), "ZSERVE_URL": f"http://localhost:{self.port}"}
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ZSERVE_")}
        return {**kept, **self.variables, **own, **more}


def furnish(folder: Path, warm: str) -> None:
    """Put into a folder what a checkout has, with a .venv whose Python hands work to `warm`."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    python = programs / "python"
    python.write_text(COMMAND.format(python=sys.executable, address=warm))
    python.chmod(0o755)
    (programs / "zserve").symlink_to(Path(sys.executable).parent / "zserve")
    for name in LINKED:
        (folder / name).symlink_to(CHECKOUT / name)
    for name in ("serve", "clients", "train", "dev"):
        (folder / ".venv" / f".installed-{name}").touch()


def logical_lines(text: str) -> Iterator[str]:
    """Yield the commands of a text; join continued lines, skip empty lines and comments."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line


def named_paths(text: str) -> Iterable[str]:
    """Yield the words of shell commands that look like a path within the checkout."""
    for line in logical_lines(text):
        for word in shlex.split(line, comments=True):
            if re.fullmatch(r"[\w.-]+(/[\w.-]+)+", word):
                yield word


def free_port() -> int:
    """Return a free port on loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_warm(address: str) -> "subprocess.Popen[str]":
    """Start the process that runs training commands for scratch folders."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.docs.warm", address],
        cwd=CHECKOUT,
        env=os.environ | {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip(), "it did not start"
    return process
