"""Build backend of the distribution `zserve`: setuptools, with every package placed under `zserve`.

A checkout has the folders app, model_store, training and weights. In a wheel they are zserve/app,
zserve/model_store, zserve/training and zserve/weights, because packages with such general names would
collide with those of other projects in site-packages. The wheel is built from a copy of the checkout
in which

- `from app.settings import ...` is `from zserve.app.settings import ...`, found by the positions that
  `ast` gives, so that nothing but names of packages changes;
- entry points of pyproject.toml name the modules in the same way;
- messages name the command that is installed: `zserve models`, not `python -m model_store`.

What cannot be rewritten safely, such as the name of a module in a string, ends the build. An editable
installation and a source distribution have the files of the checkout.
"""

import ast
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
]

PARENT = "zserve"
PACKAGES = ("app", "model_store", "training")
"""Packages of the checkout that a wheel has under `PARENT`."""
DATA = "weights"
"""Folder of the shipped models, which a wheel has under `PARENT` too."""
FILES = ("README.md", "LICENSE")
"""Files that pyproject.toml refers to."""
COMMANDS = (
    ("python -m app.", "python -m zserve.app."),
    ("python -m model_store.", "python -m zserve.model_store."),
    ("python -m training.", "python -m zserve.training."),
    ("serve run app.", "serve run zserve.app."),
    ("python -m app", "zserve serve"),
    ("python -m model_store", "zserve models"),
    ("python -m training", "zserve"),
)
"""Command of a checkout -> command of an installation; the longer ones come first."""

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
_NAMES = "|".join(PACKAGES)
_IMPORT_FROM = re.compile(rb"from[ \t]+")
_ENTRY_POINT = re.compile(rf'(?m)^(.*= *")((?:{_NAMES})(?:\.[\w.]*)?:\w+")')
_MODULE_IN_STRING = re.compile(rf"(?:{_NAMES})(?:\.\w+)+")


class RelocationError(Exception):
    """A file of the checkout cannot be moved under `zserve` without changing what it means."""


def get_requires_for_build_wheel(config_settings: Mapping[str, object] | None = None) -> list[str]:
    """Return no requirement besides setuptools."""
    del config_settings
    return []


def build_wheel(
    wheel_directory: str,
    config_settings: Mapping[str, object] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build a wheel of the checkout in the current folder, and return its name."""
    del metadata_directory  # there is no hook that would have made one
    place = str(Path(wheel_directory).resolve())
    with tempfile.TemporaryDirectory(prefix="zserve-wheel-") as folder:
        relocate(Path.cwd(), Path(folder))
        with contextlib.chdir(folder):
            return str(build_meta.build_wheel(place, config_settings))


def relocate(checkout: Path, folder: Path) -> None:
    """Copy what a wheel is made of, with every package under `zserve`; raises RelocationError."""
    for name in FILES:
        shutil.copy2(checkout / name, folder)
    pyproject = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(relocated_entry_points(pyproject), encoding="utf-8")
    shutil.copytree(checkout / PARENT, folder / PARENT, ignore=_LEFT_OUT)
    for name in (*PACKAGES, DATA):
        shutil.copytree(checkout / name, folder / PARENT / name, ignore=_LEFT_OUT)
    modules = module_names(checkout)
    for file in sorted((folder / PARENT).rglob("*.py")):
        source = file.read_bytes()
        moved = relocated(source, modules, str(file.relative_to(folder)))
        if moved != source:
            times = file.stat()
            file.write_bytes(moved)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def module_names(checkout: Path) -> set[str]:
    """Return the dotted names of all modules that move."""
    files = [
        file.relative_to(checkout) for name in PACKAGES for file in (checkout / name).rglob("*.py")
    ]
    names = {".".join(file.with_suffix("").parts) for file in files}
    return names | {name.removesuffix(".__init__") for name in names}


def relocated_entry_points(pyproject: str) -> str:
    """Return the text of pyproject.toml with entry points that name modules under `zserve`."""
    return _ENTRY_POINT.sub(rf"\1{PARENT}.\2", pyproject)


def relocated(source: bytes, modules: set[str], name: str) -> bytes:
    """Return a source file that imports the packages from `zserve`, and names installed commands.

    Args:
        source: content of the file.
        modules: dotted names of the modules that move.
        name: the file, for messages.

    Raises:
        RelocationError: the file refers to a package in a way that is not known here.
    """
    lines = source.splitlines(keepends=True)
    edits = sorted(_edits(ast.parse(source), lines, modules, name), reverse=True)
    for line, column, before, after in edits:
        text = lines[line]
        if not text.startswith(before, column):
            raise RelocationError(
                f"{name}:{line + 1}: write the import of {before.decode()} in one line"
            )
        lines[line] = text[:column] + after + text[column + len(before) :]
    moved = b"".join(lines)
    for command, installed in COMMANDS:
        moved = moved.replace(command.encode(), installed.encode())
    return moved


Edit = tuple[int, int, bytes, bytes]
"""Line and column from 0, in bytes; what stands there, and what replaces it."""


def _edits(tree: ast.AST, lines: list[bytes], modules: set[str], name: str) -> Iterator[Edit]:
    """Yield the changes of a file; raises RelocationError."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and _moves(node.module or ""):
            keyword = _IMPORT_FROM.match(lines[node.lineno - 1], node.col_offset)
            column = keyword.end() if keyword else node.col_offset
            module = (node.module or "").encode()
            yield node.lineno - 1, column, module, f"{PARENT}.".encode() + module
        elif isinstance(node, ast.Import):
            yield from _edits_of_import(node, name)
        elif isinstance(node, ast.Constant) and _names_module(node.value, modules):
            raise RelocationError(
                f"{name}:{node.lineno}: {node.value!r} names a module in a string; use the module's "
                "__name__, or the object itself"
            )


def _edits_of_import(node: ast.Import, name: str) -> Iterator[Edit]:
    """Yield the changes of `import app` and `import app.settings as settings`."""
    for alias in node.names:
        if not _moves(alias.name):
            continue
        module = alias.name.encode()
        if alias.asname is not None:
            yield alias.lineno - 1, alias.col_offset, module, f"{PARENT}.".encode() + module
        elif alias.name in PACKAGES and len(node.names) == 1:
            before, after = b"import " + module, f"from {PARENT} import ".encode() + module
            yield node.lineno - 1, node.col_offset, before, after
        else:
            raise RelocationError(
                f"{name}:{node.lineno}: write `from {alias.name.rpartition('.')[0] or alias.name} "
                f"import ...` instead of `import {alias.name}`"
            )


def _moves(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _names_module(value: object, modules: set[str]) -> bool:
    """Return True for a string such as `app.settings` or `app.settings.Settings`."""
    if not isinstance(value, str) or not _MODULE_IN_STRING.fullmatch(value):
        return False
    return value in modules or value.rpartition(".")[0] in modules - set(PACKAGES)
