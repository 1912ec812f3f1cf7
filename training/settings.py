"""Folders that `training` reads and writes; no other module of it reads the environment."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from model_store.places import own_folder

OWN = own_folder()
"""The checkout, or the user's data folder if zserve is installed."""


class TrainingSettings(BaseSettings):
    """ZSERVE_DATA_DIR, ZSERVE_STORE and ZSERVE_RUNS, and their defaults."""

    model_config = SettingsConfigDict(env_prefix="ZSERVE_", env_ignore_empty=True, frozen=True)

    data_dir: Path = OWN / "data"
    """Folder that contains `MNIST/raw`, `FashionMNIST/raw`, ..."""

    store: str | None = None
    """Folder or address of a model store; if None, the models of one's own and the shipped ones."""

    runs: Path = OWN / "runs"
    """Parent folder of the runs; each run keeps its checkpoints, logs and history.csv there."""
