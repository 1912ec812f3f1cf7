"""`zserve serve` and `zserve train`: the service and the training, where they are installed.

The client itself knows them over HTTP alone: it starts them as programs of their own.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Program:
    """A command line of Python, what it cannot do without, and how that is installed."""

    module: str
    arguments: Sequence[str]
    needs: Sequence[str]
    install: str


PROGRAMS = {
    "serve": Program("app", (), ("fastapi", "torch", "uvicorn"), "make install"),
    "train": Program(
        "training",
        ("train",),
        ("torch", "torchvision", "typer"),
        "python3 scripts/install.py train",
    ),
}


class NotInstalledError(Exception):
    """A program is not here, or lacks what it needs."""


def command(name: str, arguments: Sequence[str]) -> list[str]:
    """The command line behind `zserve serve` or `zserve train`; raises NotInstalledError."""
    program = PROGRAMS[name]
    if folder() is None:
        raise NotInstalledError(
            f"zserve {name} needs the checkout of zserve, and only the client is installed here; "
            "install the client from the checkout, or use a service elsewhere with --url"
        )
    missing = [module for module in program.needs if importlib.util.find_spec(module) is None]
    if missing:
        raise NotInstalledError(
            f"zserve {name} needs {', '.join(missing)}, not installed here; "
            f"run `{program.install}` in {folder() or 'the checkout'}"
        )
    return [sys.executable, "-m", program.module, *program.arguments, *arguments]


def folder() -> Path | None:
    """Where the programs are: the checkout, or with the installed packages; None if nowhere."""
    if all((CHECKOUT / p.module / "__main__.py").is_file() for p in PROGRAMS.values()):
        return CHECKOUT
    try:
        importlib.metadata.version("zserve")
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(sys.prefix)


def become(name: str, arguments: Sequence[str]) -> None:
    """Replace this process by the program; paths keep meaning what they mean here."""
    line = command(name, arguments)
    python_path = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = dict(os.environ)
    if folder() == CHECKOUT:
        variables["PYTHONPATH"] = os.pathsep.join(python_path)
    sys.stdout.flush()
    os.execve(line[0], line, variables)  # noqa: S606 - a list of arguments, and no shell
