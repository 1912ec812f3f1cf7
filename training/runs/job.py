"""The description of a run: what to train, on which data, and where the results go."""

from dataclasses import dataclass, field
from pathlib import Path

from model_store.store import Store
from training.config import Preset
from training.devices import Device, Threads
from training.publishing.options import ReleaseOptions


@dataclass(frozen=True)
class Job:
    """Description of a run: preset, data, and destination of the results."""

    preset_name: str
    preset: Preset
    data_dir: Path
    """Folder of the data sets."""
    store: Store
    """Store into which the version is published."""
    name: str
    """Name of the model in the store."""
    folder: Path
    """Folder of the run: checkpoints, logs, history.csv."""
    seed: int = 0
    """Seed of the initial weights, the order of the images, and all noise."""
    device: Device = Device.AUTO
    threads: Threads | None = None
    """CPU threads; None keeps the number that PyTorch has."""
    release: ReleaseOptions = field(default_factory=ReleaseOptions)
    download: bool = False
    """Download the data set if it is missing."""
    resume: bool = False
    """Continue from the last checkpoint in the folder."""
    restart: bool = False
    """Discard an unfinished run in the folder."""
    tensorboard: bool = True
    """Write TensorBoard's event files into the folder."""
    best: bool | None = None
    """Publish the epoch with the lowest test loss (True), the last one (False), or the last one
    unless the best is clearly better (None)."""
