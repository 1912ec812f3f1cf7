"""The generators that `make test-clients` and `make test-schema` install, and a digit to send."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

CHECKOUT = Path(__file__).parents[2]
INSTALLED = CHECKOUT / "build" / "contract"
"""Folder of the environments `venv` and `node`."""
HERE = Path(__file__).parent


def run(command: Sequence[str | Path], folder: Path, **variables: str) -> str:
    """Run a command in a folder and return what it prints; it has to succeed."""
    path = f"{INSTALLED / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def program(name: str) -> Path:
    """Return the path of a program of the Python environment."""
    return INSTALLED / "venv" / "bin" / name


def node_program(name: str) -> Path:
    """Return the path of a program of the Node environment."""
    return INSTALLED / "node" / "node_modules" / ".bin" / name


def draw_digit(path: Path) -> None:
    """Draw a one, dark on light, into a PNG file."""
    drawing = Image.new("L", (90, 120), 250)
    ImageDraw.Draw(drawing).line([(52, 20), (38, 100)], fill=10, width=9)
    drawing.save(path)
