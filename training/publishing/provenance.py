"""The libraries and the commit that a version is made with."""

import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("torch", "torchvision", "numpy")
_SOURCES = (":/training", ":/model_store")


def libraries() -> dict[str, str]:
    """Return the versions of Python and of the libraries that affect the numbers."""
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


def source_commit() -> str | None:
    """Return the commit of the training code, with `-dirty` appended if the code was changed.

    Returns None if this file is not part of a git checkout, such as when it is installed.
    """
    here = Path(__file__)
    if _git("ls-files", "--error-unmatch", str(here)) is None:
        return None
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", *_SOURCES)
    return f"{commit}-dirty" if changes else commit


def _git(*arguments: str) -> str | None:
    """Run git in the folder of this file; None if git is missing or fails."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(Path(__file__).parent), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell; all arguments are ours
    return answer.stdout.strip() if answer.returncode == 0 else None
