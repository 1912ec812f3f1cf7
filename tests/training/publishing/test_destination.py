from pathlib import Path

import pytest

from model_store.errors import PublishError
from model_store.store import Store
from training.errors import SettingError
from training.publishing.destination import check_destination


@pytest.mark.parametrize("name", ["", "Upper", "mnist@2", "a/b", "../a", "x" * 64])
def test_an_invalid_model_name_is_refused(tmp_path: Path, name: str):
    with pytest.raises(SettingError, match="is not a model name"):
        check_destination(Store(tmp_path), name)


def test_a_store_that_is_not_writable_is_refused(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(PublishError, match="choose another --store"):
        check_destination(Store(file / "store"), "mnist")


def test_checking_a_missing_store_does_not_create_it(tmp_path: Path):
    check_destination(Store(tmp_path / "a" / "b"), "mnist")
    assert list(tmp_path.iterdir()) == []
