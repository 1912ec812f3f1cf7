"""Install zserve's pinned requirements into a virtual environment, for make and for Docker.

    python scripts/install.py {serve,clients,train,dev,docs} [--torch auto|cpu|cuda|none]
                              [--venv .venv]

Every package is pinned and checked against its hash. torch and torchvision are pinned by version
only, because their builds differ from machine to machine. --torch chooses the build:

    auto    the build for this machine's driver, from PyTorch's own index
    cpu     the CPU build, from PyTorch's own index: no CUDA libraries to download
    cuda    the default build of the package registry, with the CUDA libraries of cuda.txt
    none    no torch: serving exact versions on a CPU needs none

Without --torch, serving gets the build `auto` if this machine has an NVIDIA GPU or ZSERVE_DEVICE is
cuda, and otherwise none. Training and development always get a build, `auto` by default.

If PyTorch's own index cannot be reached, auto and cpu install the default build, which computes on
CPUs too, and print a line about it. Any other failure ends the installation.

This script runs before anything is installed, so it imports the standard library only. Its syntax
is readable by older Pythons, so that they print a message instead of a SyntaxError.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
CLIENT = ROOT / "clients"
OLDEST_PYTHON = (3, 11)
SHORT_TIMEOUTS = {"UV_HTTP_RETRIES": "1", "UV_HTTP_CONNECT_TIMEOUT": "5", "UV_HTTP_TIMEOUT": "15"}
PYTORCH_HOST = "download.pytorch.org"
WITH_TORCH = ("train", "dev")
WITH_TORCHVISION = ("train", "dev")


class InstallError(Exception):
    """The options contradict each other."""


class Environment:
    """A virtual environment, and the uv installed in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.torch_choice_file = folder / ".torch"

    def create(self) -> None:
        """Create the environment if it is missing, and install the pinned uv in it."""
        if not self.python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(self.folder)], check=True)
        pip = [str(self.python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        uv = ["install", "--require-hashes", "--requirement", str(REQUIREMENTS / "uv.txt")]
        subprocess.run([*pip, *uv], check=True)

    def uv(self, verb: str, *options: str) -> list[str]:
        """Return the command line of `uv pip <verb>` for this environment."""
        uv = str(self.folder / "bin" / "uv")
        return [uv, "pip", verb, "--python", str(self.python), *options]

    def install_hashed(self, name: str) -> None:
        """Install requirements/<name>.txt and check every file against its hash."""
        file = str(REQUIREMENTS / f"{name}.txt")
        subprocess.run(
            self.uv("install", "--quiet", "--require-hashes", "--requirement", file),
            env=_without_torch_backend(),
            check=True,
        )

    def previous_torch(self) -> list[str]:
        """Return choice and version of the torch that was installed last; [] without one."""
        return self.torch_choice_file.read_text().split() if self.torch_choice_file.exists() else []

    def install_torch(self, choice: str) -> None:
        """Install the pinned torch in this build, if it is not the one that was installed last."""
        previous = self.previous_torch()
        wanted = [choice, _pin("torch")]
        if wanted != previous:
            if wanted[0] == "cuda" or not self._index_reachable(wanted[0]):
                self._install_default("torch")
            else:
                self._install_from_index("torch", wanted[0])
            self.torch_choice_file.write_text(" ".join(wanted) + "\n")

    def install_torchvision(self) -> None:
        """Install the pinned torchvision, in the same build as torch."""
        _, plus, build = (self._installed("torch") or "").partition("+")  # 2.15.0+cpu
        if self._installed("torchvision") == _pin("torchvision") + plus + build:
            return
        if build:
            self._install_from_index("torchvision", build)
        else:
            self._install_default("torchvision")

    def install_client(self) -> None:
        """Install the client and the command `zserve` of this checkout, editable.

        Nothing is downloaded: uv has the build backend, and the requirements are installed.
        """
        if (CLIENT / "pyproject.toml").exists():  # the container has no client
            self.install_hashed("clients")
            editable = self.uv("install", "--quiet", "--offline", "--no-deps", "--editable")
            subprocess.run([*editable, str(CLIENT)], check=True)

    def install_commands(self) -> None:
        """Register the commands of this checkout: `zserve-server`, `zserve serve` and the others.

        setuptools, the build backend, comes with the pinned requirements: nothing is fetched.
        """
        if (ROOT / "pyproject.toml").exists():  # a container is built without it
            offline = self.uv("install", "--quiet", "--offline", "--no-build-isolation")
            subprocess.run([*offline, "--no-deps", "--editable", str(ROOT)], check=True)

    def check(self) -> None:
        """Fail if a requirement of an installed package is missing."""
        subprocess.run(self.uv("check", "--quiet"), check=True)

    def _index_reachable(self, backend: str) -> bool:
        """Return True if PyTorch's index answers; exit on any failure other than that."""
        file = str(REQUIREMENTS / "torch.txt")
        dry_run = self.uv("install", "--dry-run", "--no-deps", "--torch-backend", backend)
        answer = subprocess.run(
            [*dry_run, "--reinstall", "--requirement", file],
            env={**os.environ, **SHORT_TIMEOUTS},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if answer.returncode == 0:
            return True
        if "Failed to fetch" in answer.stderr and PYTORCH_HOST in answer.stderr:
            reason = answer.stderr.strip().rpartition("cause: ")[2]
            print(
                f"torch: PyTorch's own index cannot be reached ({reason}); installing the registry's"
                " default build, which on Linux brings several gigabytes of CUDA libraries",
                flush=True,
            )
            return False
        sys.stderr.write(answer.stderr)
        sys.exit(answer.returncode)

    def _install_from_index(self, package: str, backend: str) -> None:
        # With dependencies: a CUDA build from the index requires its own CUDA libraries.
        file = str(REQUIREMENTS / f"{package}.txt")
        options = ["--torch-backend", backend, "--reinstall-package", package]
        subprocess.run(self.uv("install", "--quiet", *options, "--requirement", file), check=True)

    def _install_default(self, package: str) -> None:
        self.install_hashed("cuda")
        file = str(REQUIREMENTS / f"{package}.txt")
        options = ["--no-deps", "--reinstall-package", package, "--requirement", file]
        subprocess.run(
            self.uv("install", "--quiet", *options), env=_without_torch_backend(), check=True
        )

    def _installed(self, package: str) -> str | None:
        """Return a package's installed version: `2.15.0+cpu`, or `2.15.0` for a default build."""
        for metadata in self.folder.glob(f"lib/python*/site-packages/{package}-*.dist-info"):
            return metadata.name[len(package) + 1 : -len(".dist-info")]
        return None


def _torch_choice(what: str, option: str | None, environment: Environment) -> str | None:
    """Return the build of torch to install; None for no torch.

    An installed build is kept unless another one is requested.
    """
    previous = environment.previous_torch()[:1]
    if what in WITH_TORCH:
        if option == "none":
            raise InstallError(f"{what} needs torch: choose --torch auto, cpu or cuda")
        return option or (previous[0] if previous else "auto")
    if what != "serve" or option == "none":
        return None
    if option or previous:
        return option or previous[0]
    return "auto" if os.environ.get("ZSERVE_DEVICE") == "cuda" or _has_nvidia_gpu() else None


def _has_nvidia_gpu() -> bool:
    """Return True if an NVIDIA driver is installed and finds a GPU."""
    try:
        return bool(ctypes.CDLL("libcuda.so.1").cuInit(0) == 0)
    except OSError:
        return False


def _pin(package: str) -> str:
    """Return the version pinned in requirements/<package>.txt, a file with one requirement."""
    lines = (REQUIREMENTS / f"{package}.txt").read_text().splitlines()
    (pin,) = [line for line in lines if line and not line.startswith("#")]
    return pin.partition("==")[2]


def _without_torch_backend() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "UV_TORCH_BACKEND"}


def main() -> None:
    """Parse the command line and install."""
    if sys.version_info < OLDEST_PYTHON:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"zserve needs Python 3.11 or newer, {sys.executable} is {version};"
            " choose another with: make ... PYTHON=python3.12"
        )
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["serve", "clients", "train", "dev", "docs"])
    parser.add_argument("--torch", choices=["auto", "cpu", "cuda", "none"], help="which torch")
    parser.add_argument("--venv", type=Path, default=REQUIREMENTS.parent / ".venv")
    options = parser.parse_args()

    environment = Environment(options.venv.absolute())
    try:
        torch = _torch_choice(options.what, options.torch, environment)
        environment.create()
        environment.install_hashed(
            "serve-torch" if torch and options.what == "serve" else options.what
        )
        if torch:
            environment.install_torch(torch)
        if options.what in WITH_TORCHVISION:
            environment.install_torchvision()
        environment.install_client()
        if options.what != "clients":
            environment.install_commands()
        environment.check()
    except InstallError as error:
        sys.exit(f"zserve: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"zserve: this command failed, see above: {' '.join(error.cmd)}")


if __name__ == "__main__":
    main()
