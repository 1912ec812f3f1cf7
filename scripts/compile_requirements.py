"""Write requirements/*.txt from pyproject.toml, with uv: `make requirements`.

    python scripts/compile_requirements.py [--upgrade]

Without --upgrade the pins stay where pyproject.toml allows them. The files name no index and
no folder, so that whoever installs from them uses the registry they trust.
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
HEADER = "# {what}\n# Written by `make requirements`; not to be edited.\n"
CUDA_LIBRARY = re.compile(r"(nvidia|cuda)-|triton$")
BY_VERSION = {"torch", "torchvision"}  # no hash: each machine's build has its own
DEV = ["pyproject.toml", "clients/pyproject.toml", "--group", "dev"]
EVERYTHING = [*DEV, "--group", "docs"]
SOURCES = {
    "serve": ("What serving needs, without torch.", ["pyproject.toml"]),
    "train": ("What training needs, without torch.", ["pyproject.toml", "--group", "train"]),
    "dev": ("What make check and make test need, without torch.", DEV),
    "docs": ("What make docs-site needs.", ["--group", "docs"]),
    "clients": ("What the client and the examples need.", ["clients/pyproject.toml"]),
    "cuda": ("What the default build of torch needs on Linux, besides serve.txt.", EVERYTHING),
}


def compile_pins(source: list[str], output: Path, *options: str, given: str | None = None) -> None:
    """Resolve `source` for every platform and Python >= 3.11 into `output`."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header"]
    command += ["--no-annotate", "--universal", "--python-version", "3.11"]
    command += ["--output-file", str(output), *options, *source]
    subprocess.run(command, cwd=ROOT, input=given, text=True, check=True)


def pins(text: str) -> dict[str, list[str]]:
    """Name -> its requirements; a name has two where newer Pythons get a newer version."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if match := re.match(r"([a-z0-9][a-z0-9._-]*)==", line):
            found.setdefault(match[1], []).append(line.removesuffix("\\").strip())
    return found


def written() -> str:
    """The requirements as they are, in one text."""
    return "\n".join(file.read_text() for file in sorted(REQUIREMENTS.glob("*.txt")))


def write(name: str, what: str, body: str) -> None:
    """Write requirements/<name>.txt."""
    REQUIREMENTS.joinpath(f"{name}.txt").write_text(HEADER.format(what=what) + body)


def main() -> None:
    """Resolve everything once, then cut each file out of that one resolution."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    upgrade = parser.parse_args().upgrade

    with tempfile.TemporaryDirectory() as folder:
        everything, part, uv = (Path(folder, name) for name in ("everything", "part", "uv"))
        if not upgrade:  # uv keeps the versions that it finds in its output file
            kept = pins(written())
            everything.write_text("\n".join(pin for both in kept.values() for pin in set(both)))
            uv.write_text("\n".join(kept.get("uv", [])))
        compile_pins(EVERYTHING, everything)
        resolved = pins(everything.read_text())
        cuda = {name for name in resolved if CUDA_LIBRARY.match(name)}

        for name, (what, source) in SOURCES.items():
            left_out = set(resolved) - cuda if name == "cuda" else cuda | BY_VERSION
            options = [f"--no-emit-package={package}" for package in sorted(left_out)]
            constraint = f"--constraint={everything}"
            part.unlink(missing_ok=True)
            compile_pins(source, part, constraint, "--generate-hashes", *options)
            write(name, what, part.read_text())
        for name in sorted(BY_VERSION):
            write(name, "Pinned by version: each build has its own hash.", f"{resolved[name][0]}\n")
        compile_pins(["-"], uv, "--generate-hashes", given="uv")
        write("uv", "What installs all the others.", uv.read_text())


if __name__ == "__main__":
    main()
