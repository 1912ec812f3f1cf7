"""Run pythae's trainer (Chadebec et al. 2022) in a process and environment of its own."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from training.config import Preset

PYTHAE = "pythae==0.1.2"
ENVIRONMENT = Path(__file__).parents[2] / ".venv-bench" / "pythae"
WORKER = Path(__file__).parent / "pythae_worker.py"


@contextlib.contextmanager
def pythae_loop(
    preset: Preset, images: int, rounds: int, threads: int
) -> Iterator[Callable[[], float]]:
    """Start the worker and yield a function that trains one epoch and returns its seconds."""
    python = _install()
    numbers = map(str, (images, rounds + 1, threads, preset.optimiser.batch_size))
    with tempfile.TemporaryDirectory() as folder:
        command = [str(python), str(WORKER), *numbers, str(preset.optimiser.learning_rate), folder]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

        def epoch() -> float:
            if process.stdin is None or process.stdout is None:
                raise TypeError("the worker has no pipes")
            process.stdin.write("\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        try:
            yield epoch
        finally:
            process.kill()
            process.communicate()


def _install() -> Path:
    """Build pythae's environment if it is missing; return its interpreter."""
    python = ENVIRONMENT / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    if not python.exists():
        subprocess.run([*uv, "venv", "--quiet", str(ENVIRONMENT)], check=True)
    packages = [PYTHAE, f"torch=={torch.__version__.partition('+')[0]}"]
    install = [*uv, "pip", "install", "--quiet", "--python", str(python)]
    subprocess.run([*install, *packages], check=True)
    return python
