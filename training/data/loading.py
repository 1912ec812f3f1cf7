"""Load the data set that a preset names into memory."""

from dataclasses import replace
from pathlib import Path

from model_store.spec import ModelSpec
from training.config import Data
from training.data import idx, image_folder
from training.data.images import Splits


def load(data: Data, data_dir: Path, spec: ModelSpec, *, download: bool = False) -> Splits:
    """Return both splits of a data set in the form that the model takes.

    Raises DataNotFoundError, DataError, SettingError.
    """
    if data.dataset == "folder":
        folder = Path(data.folder) if data.folder else data_dir
        splits = image_folder.load(data, folder, spec)
    else:
        splits = idx.load(data, data_dir, spec.image, download=download)
    return replace(splits, data_dir=data_dir)
