"""Write requirements/*.txt from pyproject.toml, with uv: `make requirements`.

    python scripts/compile_requirements.py [--upgrade]

Without --upgrade, pins that pyproject.toml still allows stay unchanged. The files name no index
and no folder, so that they can be installed from any registry.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
HEADER = "# {title}\n# Written by `make requirements`; not to be edited.\n"
CUDA_LIBRARY = re.compile(r"(nvidia|cuda)-|triton$")
BY_VERSION = {"torch", "torchvision"}  # no hashes: their builds differ from machine to machine
OWN = {"zserve-client"}  # of this checkout; scripts/install.py installs it from there
SERVE = ["pyproject.toml", "--group", "build"]
DEV = ["pyproject.toml", "clients/pyproject.toml", "--group", "dev"]
ALL_SOURCES = [*DEV, "--group", "docs"]
SOURCES = {
    "serve": ("What serving exact versions on a CPU needs.", SERVE),
    "serve-torch": ("What serving with torch needs, without torch.", [*SERVE, "--extra", "torch"]),
    "train": ("What training needs, without torch.", ["pyproject.toml", "--group", "train"]),
    "dev": ("What make check and make test need, without torch.", DEV),
    "docs": ("What make docs-site needs.", ["--group", "docs"]),
    "clients": ("What the client and the examples need.", ["clients/pyproject.toml"]),
    "cuda": (
        "What the default build of torch needs on Linux, besides serve-torch.txt.",
        ALL_SOURCES,
    ),
}


def compile_pins(source: list[str], output: Path, *options: str, stdin: str | None = None) -> None:
    """Resolve `source` for all platforms and Python >= 3.11, and write the pins to `output`."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header"]
    command += ["--no-annotate", "--universal", "--python-version", "3.11"]
    command += ["--output-file", str(output), *options, *source]
    subprocess.run(command, cwd=ROOT, input=stdin, text=True, check=True)


def pins(text: str) -> dict[str, list[str]]:
    """Return name -> its pins; a name has two pins if newer Pythons get a newer version."""
    pins_by_name: dict[str, list[str]] = {}
    for line in text.splitlines():
        if match := re.match(r"([a-z0-9][a-z0-9._-]*)==", line):
            pins_by_name.setdefault(match[1], []).append(line.removesuffix("\\").strip())
    return pins_by_name


def current_requirements() -> str:
    """Return the text of all requirement files."""
    return "\n".join(file.read_text() for file in sorted(REQUIREMENTS.glob("*.txt")))


def write(name: str, title: str, body: str) -> None:
    """Write requirements/<name>.txt."""
    REQUIREMENTS.joinpath(f"{name}.txt").write_text(HEADER.format(title=title) + body)


def main() -> None:
    """Resolve all requirements together, then write each file with those versions."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--upgrade", action="store_true", help="use the newest allowed versions")
    upgrade = parser.parse_args().upgrade

    with tempfile.TemporaryDirectory() as folder:
        resolution, part, uv = (Path(folder, name) for name in ("resolution", "part", "uv"))
        if not upgrade:  # uv keeps the versions that its output file already has
            kept = pins(current_requirements())
            resolution.write_text(
                "\n".join(pin for pins_of_name in kept.values() for pin in set(pins_of_name))
            )
            uv.write_text("\n".join(kept.get("uv", [])))
        compile_pins(ALL_SOURCES, resolution, *(f"--no-emit-package={name}" for name in OWN))
        resolved = pins(resolution.read_text())
        cuda = {name for name in resolved if CUDA_LIBRARY.match(name)}

        for name, (title, source) in SOURCES.items():
            left_out = set(resolved) - cuda if name == "cuda" else cuda | BY_VERSION
            options = [f"--no-emit-package={package}" for package in sorted(left_out | OWN)]
            constraint = f"--constraint={resolution}"
            part.unlink(missing_ok=True)
            compile_pins(source, part, constraint, "--generate-hashes", *options)
            write(name, title, part.read_text())
        for name in sorted(BY_VERSION):
            write(name, "Pinned by version: each build has its own hash.", f"{resolved[name][0]}\n")
        compile_pins(["-"], uv, "--generate-hashes", stdin="uv")
        write("uv", "What installs all the others.", uv.read_text())


if __name__ == "__main__":
    main()
