"""Build a virtual environment for each compared server, under .venv-bench."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-bench"
PINS = Path(__file__).parent / "requirements"
INSTALLED_WITHIN_S = 1800
ENVIRONMENTS = ("zserve", "textbook", "litserve", "bentoml", "mosec", "ray")
"""`zserve` has the requirements of serving; each other one also has torchvision and a peer."""


class InstallError(Exception):
    """An environment could not be built; its servers are left out of the run."""


def python(environment: str) -> Path:
    """Return the path of the Python interpreter of an environment."""
    return FOLDER / environment / "bin" / "python"


def install(environment: str) -> None:
    """Build an environment, or rebuild it if its pins changed; raises InstallError.

    All environments have the same versions of torch, NumPy, Pillow, FastAPI and uvicorn, unless
    requirements/<peer>.txt pins another one.
    """
    stamp = FOLDER / environment / ".installed"
    state = _state(environment)
    if stamp.exists() and stamp.read_text() == state:
        return
    print(f"installing {environment} into {FOLDER.name}/{environment}", flush=True)
    shutil.rmtree(FOLDER / environment, ignore_errors=True)  # packages of older pins must go
    script = str(ROOT / "scripts" / "install.py")
    _run([sys.executable, script, "serve", "--torch", "auto", "--venv", str(FOLDER / environment)])
    uv = [str(FOLDER / environment / "bin" / "uv"), "pip", "install", "--quiet"]
    uv += ["--python", str(python(environment))]
    pins = PINS / f"{environment}.txt"
    if pins.exists():
        _run([*uv, "--requirement", str(pins)])
    if environment != "zserve":
        torchvision = ["--no-deps", "--requirement", str(ROOT / "requirements/torchvision.txt")]
        _run([*uv, *_backend(environment), *torchvision])
    stamp.write_text(state)


def versions(interpreter: Path, *packages: str) -> dict[str, str]:
    """Return package -> version for those packages that are installed."""
    program = (
        "import importlib.metadata as m, sys\n"
        "for p in sys.argv[1:]:\n"
        "    try: print(p, m.version(p))\n"
        "    except m.PackageNotFoundError: pass"
    )
    command = [str(interpreter), "-c", program, *packages]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split(maxsplit=1) for line in output.splitlines())


def _backend(environment: str) -> list[str]:
    """Return uv's option for the torchvision build that matches torch, such as `2.15.0+cpu`."""
    for metadata in (FOLDER / environment).glob("lib/python*/site-packages/torch-*.dist-info"):
        build = metadata.name.removesuffix(".dist-info").partition("+")[2]
        return ["--torch-backend", build] if build else []
    return []


def _state(environment: str) -> str:
    """Return a hash of the requirement files of an environment."""
    files = [
        ROOT / "requirements" / f"{name}.txt" for name in ("serve-torch", "torch", "torchvision")
    ]
    files.append(PINS / f"{environment}.txt")
    text = "".join(file.read_text() for file in files if file.exists())
    return hashlib.sha256(text.encode()).hexdigest()


def _run(command: list[str]) -> None:
    variables = {name: v for name, v in os.environ.items() if name != "UV_TORCH_BACKEND"}
    try:
        finished = subprocess.run(
            command,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALLED_WITHIN_S,
        )
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"{Path(command[0]).name} did not end in {error.timeout:g} s") from error
    if finished.returncode != 0:
        last = (finished.stderr or finished.stdout).strip()[-600:]
        raise InstallError(f"{Path(command[0]).name} failed: {last}")
