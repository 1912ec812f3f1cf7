import subprocess
from pathlib import Path

import pytest

from model_store.errors import PublishError
from model_store.store import Store
from training.errors import SettingError
from training.publishing import provenance


@pytest.mark.parametrize("name", ["", "Upper", "mnist@2", "a/b", "../a", "x" * 64])
def test_a_name_that_the_store_would_refuse_is_refused_before_training(tmp_path: Path, name: str):
    with pytest.raises(SettingError, match="is not a model name"):
        provenance.check_destination(Store(tmp_path), name)


def test_a_store_that_cannot_be_written_is_refused_before_training(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(PublishError, match="choose another --store"):
        provenance.check_destination(Store(file / "store"), "mnist")


def test_asking_for_a_store_that_is_not_there_yet_does_not_make_it(tmp_path: Path):
    provenance.check_destination(Store(tmp_path / "a" / "b"), "mnist")
    assert list(tmp_path.iterdir()) == []


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout in which provenance.py seems to lie."""
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
def test_what_does_not_train_does_not_make_the_commit_dirty(checkout: Path, path: str):
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one")
    (checkout / path).write_text("new")
    assert provenance.source_commit() == git(checkout, "rev-parse", "HEAD")


def test_code_that_is_not_part_of_the_checkout_around_it_has_no_commit(checkout: Path):
    (checkout / ".gitignore").write_text("training/\n")
    git(checkout, "add", ".gitignore")
    git(checkout, "commit", "-qm", "one")
    assert provenance.source_commit() is None
