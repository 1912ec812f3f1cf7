"""Check, before hours of training, that a version can be published afterwards."""

from pathlib import Path

from model_store.errors import PublishError
from model_store.store import Store
from training.errors import DiskSpaceError, RunError, SettingError
from training.preflight import name_problem, space_problem, unwritable


def check_destination(store: Store, name: str) -> None:
    """Raise SettingError for an invalid model name, PublishError if the store is not writable."""
    if problem := name_problem(name):
        raise SettingError(problem)
    if not store.in_folder:
        store.check_writable()
    elif obstacle := unwritable(store.root / name):
        raise PublishError(
            f"cannot publish {name} in {store.root}: {obstacle} is not a writable folder; "
            "choose another --store"
        )


def check_run_folder(folder: Path) -> None:
    """Raise RunError if the folder of a run cannot be made or written."""
    if obstacle := unwritable(folder):
        raise RunError(
            f"cannot write the run into {folder}: {obstacle} is not a writable folder; "
            "choose another --runs-dir"
        )


def check_space(folder: Path, needed_bytes: int, purpose: str) -> None:
    """Raise DiskSpaceError if the disk of a folder has less space than is needed."""
    if problem := space_problem(folder, needed_bytes, purpose):
        raise DiskSpaceError(problem)
