"""Where a version would go, and what code and libraries it comes from."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from model_store.errors import PublishError
from model_store.spec import ModelRef
from model_store.store import Store
from training.errors import SettingError

_LIBRARIES = ("torch", "torchvision", "numpy")
_SOURCES = (":/training", ":/model_store")


def check_destination(store: Store, name: str) -> None:
    """Find out before training, not after, that publishing cannot work.

    Raises SettingError for a bad name, PublishError where the store cannot be written.
    """
    if not _is_plain_name(name):
        raise SettingError(
            f"--name {name[:80]!r} is not a model name; use a-z, 0-9, '.', '_' and '-', "
            "a letter or digit first, at most 63"
        )
    folder = store.root.absolute() / name
    while not folder.exists():
        folder = folder.parent
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise PublishError(
            f"cannot publish {name} in {store.root}: {folder} is not a folder that can be "
            "written; choose another --store"
        )


def libraries() -> dict[str, str]:
    """What the numbers depend on, with its version."""
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


def source_commit() -> str | None:
    """The commit of the code that trains, with `-dirty` where it was changed since.

    None where this file is not part of a git checkout, as when it is installed.
    """
    here = Path(__file__)
    if _git("ls-files", "--error-unmatch", str(here)) is None:
        return None
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", *_SOURCES)
    return f"{commit}-dirty" if changes else commit


def _git(*arguments: str) -> str | None:
    """The answer of git about the folder of this file, or None where it has none."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(Path(__file__).parent), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, our own words
    return answer.stdout.strip() if answer.returncode == 0 else None


def _is_plain_name(name: str) -> bool:
    try:
        return ModelRef.parse(name).name == name
    except ValueError:
        return False
