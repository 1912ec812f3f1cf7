"""Load the data set that a preset names into memory."""

from dataclasses import replace
from pathlib import Path

from model_store.spec import ModelSpec
from training.config import Data
from training.data import idx, image_folder
from training.data.images import Splits
from training.errors import DataNotFoundError

_COMMANDS = {
    "avatars": "python -m training data avatars",
    "glyphs": "python -m training data glyphs",
}
"""Folder of a preset -> command that draws it."""


def load(data: Data, data_dir: Path, spec: ModelSpec, *, download: bool = False) -> Splits:
    """Return both splits of a data set in the form that the model takes.

    Raises DataNotFoundError, DataError, SettingError.
    """
    if data.dataset == "folder":
        splits = image_folder.load(data, _folder(data, data_dir), spec)
    else:
        splits = idx.load(data, data_dir, spec.image, download=download)
    return replace(splits, data_dir=data_dir)


def _folder(data: Data, data_dir: Path) -> Path:
    """Return the folder of images: relative to the working directory, or else to the data folder."""
    if data.folder is None:
        return data_dir
    folder = Path(data.folder)
    if not folder.is_dir() and (data_dir / folder).is_dir():
        return data_dir / folder
    command = _COMMANDS.get(data.folder)
    if command and not folder.is_dir():
        raise DataNotFoundError(
            f"no folder {data_dir / folder}; set --data-dir to the folder above it, or draw its "
            f"images by: {command} --out {data_dir / folder}"
        )
    return folder
