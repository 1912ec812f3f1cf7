"""Remove from a virtual environment what serving never imports: python docker/slim.py .venv

Headers, stubs and static libraries are for building other software; the tools of onnxruntime convert
models, and its library for C is a second copy of the one for Python; tests test. Prints what was
removed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

NEVER_IMPORTED = (
    "flatbuffers",
    "google",
    "numpy/**/tests",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/f2py",
    "onnxruntime/capi/libonnxruntime.so.*",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "torch/bin",
    "torch/include",
    "torch/share",
    "torch/lib/*.a",
    "torch/test",
    "**/*.pyi",
    "**/*.pxd",
)
"""Patterns below site-packages."""
COMPILER_OF_TORCH = (
    "fsspec",
    "jinja2",
    "markupsafe",
    "mpmath",
    "networkx",
    "sympy",
    "torch/_inductor",
)
"""Patterns that are removed with the CPU build of torch: with Triton, kernels of a GPU may use them."""


def remove(site_packages: Path) -> dict[str, int]:
    """Remove what matches, and return the removed bytes of each pattern."""
    on_cpu = not site_packages.joinpath("triton").exists()
    removed = {}
    for pattern in (*NEVER_IMPORTED, *(COMPILER_OF_TORCH if on_cpu else ())):
        removed[pattern] = 0
        for path in list(site_packages.glob(pattern)):
            removed[pattern] += sum(file.lstat().st_size for file in _files(path))
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    return removed


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in path.rglob("*") if not file.is_dir())
    elif path.exists():
        yield path


def main() -> None:
    """Remove, and print how much."""
    for site_packages in Path(sys.argv[1]).glob("lib/python*/site-packages"):
        for pattern, size in remove(site_packages).items():
            print(f"{size / 1e6:8.1f} MB  {pattern}")


if __name__ == "__main__":
    main()
