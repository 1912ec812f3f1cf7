"""Remove from a virtual environment what serving never imports: python docker/slim.py .venv

Headers, stubs and static libraries are for building other software; the tools of onnxruntime convert
models; tests test. Prints what was removed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

NEVER_IMPORTED = (
    "numpy/**/tests",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/f2py",
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


def remove(site_packages: Path) -> dict[str, int]:
    """Remove what matches, and return the removed bytes of each pattern."""
    removed = {}
    for pattern in NEVER_IMPORTED:
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
