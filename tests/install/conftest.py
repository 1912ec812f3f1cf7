"""Both distributions as wheels, and environments in which nothing else is installed."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.server import CHECKOUT

UV = Path(sys.executable).with_name("uv")
LIMIT_S = 1200
"""Longest time (s) of a command; installing torch takes minutes."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment with a home folder of its own, far from the checkout."""

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """Return the environment variables of a user who has set none of zserve's."""
        left_out = ("ZSERVE_", "PYTHON", "VIRTUAL_ENV", "XDG_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
        home = self.folder / "home"
        path = f"{self.folder / 'venv' / 'bin'}{os.pathsep}{kept['PATH']}"
        return {**kept, "HOME": str(home), "PATH": path, "OMP_NUM_THREADS": "1"}

    @property
    def data(self) -> Path:
        """Return the folder in which an installed zserve keeps what is the user's."""
        return self.folder / "home" / ".local" / "share" / "zserve"

    def run(self, *command: str | Path, status: int = 0, **variables: str) -> str:
        """Run a command of the environment; return what it prints."""
        done = subprocess.run(
            [self.folder / "venv" / "bin" / command[0], *map(str, command[1:])],
            cwd=self.folder / "work",
            env=self.variables | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == status, f"{command}\n{done.stdout}"
        return done.stdout

    def install(self, *requirements: str, wheels: Path) -> None:
        """Install requirements with the wheels at hand and the registry for all others."""
        python = str(self.folder / "venv" / "bin" / "python")
        uv = [str(UV), "pip", "install", "--quiet", "--python", python, "--find-links", str(wheels)]
        environment = {k: v for k, v in os.environ.items() if k != "UV_TORCH_BACKEND"}
        subprocess.run([*uv, *requirements], check=True, timeout=LIMIT_S, env=environment)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both wheels; that of zserve is built from its source distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (CHECKOUT, CHECKOUT / "clients"):
        build = [str(UV), "build", "--quiet", "--out-dir", str(folder), str(project)]
        subprocess.run(build, check=True, timeout=LIMIT_S)
    return folder


def find_python(version: str) -> str | None:
    """Return an interpreter of this version that uv or pyenv has installed, or None."""
    found = subprocess.run(
        [UV, "python", "find", "--no-project", "--no-python-downloads", version],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode == 0:
        return found.stdout.strip()
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return next(map(str, sorted(root.glob(f"versions/{version}.*/bin/python"))), None)


@pytest.fixture(scope="session")
def new_environment(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Environment]:
    """Make an empty environment of a version of Python; skip the test if there is no interpreter."""

    def make(version: str) -> Environment:
        python = find_python(version)
        if python is None:
            pytest.skip(f"there is no Python {version} here, neither by uv nor by pyenv")
        folder = tmp_path_factory.mktemp(f"python{version}")
        for name in ("home", "work"):
            (folder / name).mkdir()
        venv = [str(UV), "venv", "--quiet", "--no-project", "--python", python]
        subprocess.run([*venv, str(folder / "venv")], check=True)
        return Environment(folder)

    return make
