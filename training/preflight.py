"""Find out before anything is installed, downloaded or trained what would fail afterwards.

    python -m training.preflight --preset lab --store models ...

`make train` runs this first, with the options of `train`. It imports the standard library alone,
and leaves everything that it does not know to `train` itself, which repeats these checks.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.suggestions import advice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHECKOUT = Path(__file__).resolve().parent.parent
PRESETS = Path(__file__).parent / "presets"
MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""The names that a model reference accepts."""
PACKAGES_BYTES = 1_500_000_000
"""Disk space of the packages for training with PyTorch's smallest build."""
RAW_FOLDERS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
DOWNLOAD_BYTES = 150_000_000
"""Disk space of a downloaded data set, packed and unpacked."""


def name_problem(name: str) -> str | None:
    """Say what is wrong with the name of a model."""
    if MODEL_NAME.fullmatch(name):
        return None
    return (
        f"--name {name[:80]!r} is not a model name; use a-z, 0-9, '.', '_' and '-', "
        "a letter or digit first, at most 63"
    )


def unwritable(folder: Path) -> Path | None:
    """Return the folder that keeps `folder` from being made or written, or None."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    try:  # permissions alone do not tell for root, and on special and full disks
        Path(tempfile.mkdtemp(prefix=".zserve-", dir=folder)).rmdir()
    except OSError:
        return folder
    return None


def space_problem(folder: Path, needed_bytes: int, purpose: str) -> str | None:
    """Say if the disk of a folder, which may not exist yet, has not enough space."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free >= needed_bytes:
        return None
    return (
        f"{purpose} needs about {_megabytes(needed_bytes)} in {folder}, where "
        f"{_megabytes(free)} are free; free some space, or choose another folder"
    )


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the first problem, and return 2; return 0 if there is none."""
    if sys.version_info < (3, 11):  # noqa: UP036 - nothing is installed yet, perhaps not even 3.11
        return 0  # the installation says that this Python is too old
    problem = next(problems(_parse(arguments)), None)
    if problem is None:
        return 0
    print(f"error: {problem}", file=sys.stderr)
    return 2


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for option in ("--preset", "--name", "--data-dir", "--store", "--runs-dir"):
        parser.add_argument(option)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--download", action="store_true")
    try:
        return parser.parse_known_args(arguments)[0]
    except argparse.ArgumentError:  # `train` says it better
        return parser.parse_args([])


def problems(options: argparse.Namespace) -> Iterator[str]:
    """Yield what would fail, the cheapest to find first."""
    preset: dict[str, Any] = {}
    if options.preset is not None:
        path = _preset_path(options.preset)
        if path is None:
            names = sorted(each.stem for each in PRESETS.glob("*.toml"))
            yield f"no preset {options.preset[:80]!r}; {advice(options.preset, names)}"
        else:
            preset = _read(path)
        name = options.name or Path(options.preset).stem
        if problem := name_problem(name):
            yield problem
    folders = {"--runs-dir": _folder(options.runs_dir, "ZSERVE_RUNS", "runs")}
    if "://" not in (
        options.store or os.environ.get("ZSERVE_STORE", "")
    ):  # `train` asks the others
        folders = {"--store": _folder(options.store, "ZSERVE_STORE", "models"), **folders}
    for option, folder in folders.items():
        if obstacle := unwritable(folder):
            yield (
                f"cannot write into {folder}: {obstacle} is not a writable folder; choose another "
                f"{option}"
            )
    data_dir = _folder(options.data_dir, "ZSERVE_DATA_DIR", "data")
    if not any(each.startswith("data.") for each in options.set):
        yield from _data_problems(preset.get("data", {}), data_dir, download=options.download)
    if not (CHECKOUT / ".venv" / ".installed-train").exists() and (
        problem := space_problem(CHECKOUT / ".venv", PACKAGES_BYTES, "installing the packages")
    ):
        yield problem


def _preset_path(preset: str) -> Path | None:
    shipped = PRESETS / f"{preset}.toml"
    if "/" not in preset and shipped.is_file():
        return shipped
    path = Path(preset)
    return path if path.suffix == ".toml" and path.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - Python 3.10 has none, and gets a message from `make`

    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):  # `train` says what is wrong with it
        return {}


def _folder(option: str | None, variable: str, default: str) -> Path:
    return Path(option or os.environ.get(variable) or CHECKOUT / default)


def _data_problems(data: Any, data_dir: Path, *, download: bool) -> Iterator[str]:
    """Yield what is missing of the data set that a preset names."""
    dataset = data.get("dataset") if isinstance(data, dict) else None
    if dataset == "folder":
        folder = Path(data.get("folder") or data_dir)
        if not folder.is_absolute() and data.get("folder"):
            folder = next((each for each in (folder, data_dir / folder) if each.is_dir()), folder)
        if not folder.is_dir() or not any(folder.iterdir()):
            yield f"no images in {folder}; set --data-dir or ZSERVE_DATA_DIR to a folder of images"
    elif dataset in RAW_FOLDERS:
        raw = data_dir / RAW_FOLDERS[dataset] / "raw"
        if (raw / "train-images-idx3-ubyte").is_file():
            return
        if not download:
            yield (
                f"no {dataset} in {raw}; put its IDX files there, set --data-dir or "
                "ZSERVE_DATA_DIR to their folder, or add --download to `train`"
            )
        elif unwritable(raw):
            yield f"cannot download {dataset} into {raw}, which is not writable; set --data-dir"
        elif problem := space_problem(raw, DOWNLOAD_BYTES, f"downloading {dataset}"):
            yield problem


if __name__ == "__main__":
    sys.exit(main())
