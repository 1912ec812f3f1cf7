from pathlib import Path

import pytest

from model_store.errors import InvalidReferenceError, PublishError
from model_store.spec import ModelRef
from model_store.store import Store
from training.errors import DiskSpaceError, RunError, SettingError
from training.preflight import name_problem
from training.publishing.destination import check_destination, check_run_folder, check_space


@pytest.mark.parametrize("name", ["", "Upper", "mnist@2", "a/b", "../a", "x" * 64])
def test_an_invalid_model_name_is_refused(tmp_path: Path, name: str):
    with pytest.raises(SettingError, match="is not a model name"):
        check_destination(Store(tmp_path), name)


def test_a_store_that_is_not_writable_is_refused(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(PublishError, match="choose another --store"):
        check_destination(Store(file / "store"), "mnist")


def test_the_names_are_those_that_a_reference_accepts():
    for name in ("mnist", "my.model_2-b", "0", "x" * 63, "Upper", "a b", "-a", "a@b", "", "x" * 64):
        try:
            accepted = ModelRef.parse(name).name == name
        except InvalidReferenceError:
            accepted = False
        assert (name_problem(name) is None) == accepted, name


def test_a_runs_folder_that_is_not_writable_is_refused(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(RunError, match="choose another --runs-dir"):
        check_run_folder(file / "lab")
    check_run_folder(tmp_path / "runs" / "lab")
    assert list(tmp_path.iterdir()) == [file]


def test_a_disk_without_space_is_named_with_both_sizes(tmp_path: Path):
    check_space(tmp_path / "runs", 1, "keeping checkpoints")
    with pytest.raises(
        DiskSpaceError, match=r"keeping checkpoints needs about 1,000,000,000 MB in"
    ):
        check_space(tmp_path / "runs", 10**15, "keeping checkpoints")


def test_checking_a_missing_store_does_not_create_it(tmp_path: Path):
    check_destination(Store(tmp_path / "a" / "b"), "mnist")
    assert list(tmp_path.iterdir()) == []
