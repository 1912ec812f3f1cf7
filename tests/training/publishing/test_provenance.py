import subprocess
from pathlib import Path

import pytest

from training.publishing import provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a git checkout that seems to contain provenance.py."""
    for folder in ("training/publishing", "model_store", "weights"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").touch()
    module = tmp_path / "training" / "publishing" / "provenance.py"
    module.touch()
    monkeypatch.setattr(provenance, "__file__", str(module))
    git(tmp_path, "init", "-q")
    return tmp_path


def test_the_source_commit_is_the_checked_out_one(checkout: Path):
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one")
    assert provenance.source_commit() == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    "path", ["training/publishing/provenance.py", "training/new.py", "model_store/file"]
)
def test_changed_or_new_code_marks_the_commit_as_dirty(checkout: Path, path: str):
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one")
    (checkout / path).write_text("changed")
    assert provenance.source_commit() == git(checkout, "rev-parse", "HEAD") + "-dirty"


@pytest.mark.parametrize("path", ["README.md", "weights/mnist"])
def test_changes_outside_of_the_training_code_do_not_mark_the_commit_as_dirty(
    checkout: Path, path: str
):
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one")
    (checkout / path).write_text("new")
    assert provenance.source_commit() == git(checkout, "rev-parse", "HEAD")


def test_code_that_git_ignores_has_no_commit(checkout: Path):
    (checkout / ".gitignore").write_text("training/\n")
    git(checkout, "add", ".gitignore")
    git(checkout, "commit", "-qm", "one")
    assert provenance.source_commit() is None
