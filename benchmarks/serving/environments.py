"""The virtual environments: zserve's in one, each peer's in one of its own, under .venv-bench."""

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
"""zserve's environment has what zserve asks for; each other has torchvision and its server too."""


class InstallError(Exception):
    """An environment that could not be built: its servers are left out, by name."""


def python(environment: str) -> Path:
    """The interpreter of an environment."""
    return FOLDER / environment / "bin" / "python"


def install(environment: str) -> None:
    """Build an environment, anew where its pins changed; nothing to do where they did not.

    The same versions of torch, NumPy, Pillow, FastAPI and uvicorn everywhere, unless the pins of
    a peer, requirements/<peer>.txt, ask for others. Raises InstallError.
    """
    stamp = FOLDER / environment / ".installed"
    state = _state(environment)
    if stamp.exists() and stamp.read_text() == state:
        return
    print(f"installing {environment} into {FOLDER.name}/{environment}", flush=True)
    shutil.rmtree(FOLDER / environment, ignore_errors=True)  # older pins would be in the way
    script = str(ROOT / "scripts" / "install.py")
    _run([sys.executable, script, "serve", "--venv", str(FOLDER / environment)])
    uv = [str(FOLDER / environment / "bin" / "uv"), "pip", "install", "--quiet"]
    uv += ["--python", str(python(environment))]
    pins = PINS / f"{environment}.txt"
    if pins.exists():
        _run([*uv, "--requirement", str(pins)])
    if environment != "zserve":
        torchvision = ["--no-deps", "--requirement", str(ROOT / "requirements/torchvision.txt")]
        _run([*uv, *_backend(environment), *torchvision])
    stamp.write_text(state)


def versions(environment: str, *packages: str) -> dict[str, str]:
    """Package -> installed version; those that are not installed are left out."""
    program = (
        "import importlib.metadata as m, sys\n"
        "for p in sys.argv[1:]:\n"
        "    try: print(p, m.version(p))\n"
        "    except m.PackageNotFoundError: pass"
    )
    command = [str(python(environment)), "-c", program, *packages]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split(maxsplit=1) for line in output.splitlines())


def _backend(environment: str) -> list[str]:
    """torchvision of the same build as torch: `2.15.0+cpu` wants the one of the index of `cpu`."""
    for found in (FOLDER / environment).glob("lib/python*/site-packages/torch-*.dist-info"):
        build = found.name.removesuffix(".dist-info").partition("+")[2]
        return ["--torch-backend", build] if build else []
    return []


def _state(environment: str) -> str:
    """What the environment was built from."""
    files = [ROOT / "requirements" / f"{name}.txt" for name in ("serve", "torch", "torchvision")]
    files.append(PINS / f"{environment}.txt")
    text = "".join(file.read_text() for file in files if file.exists())
    return hashlib.sha256(text.encode()).hexdigest()


def _run(command: list[str]) -> None:
    clean = {name: v for name, v in os.environ.items() if name != "UV_TORCH_BACKEND"}
    try:
        finished = subprocess.run(
            command,
            env=clean,
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
