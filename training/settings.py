"""Folders that `training` reads and writes; no other module of it reads the environment."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parent.parent


class TrainingSettings(BaseSettings):
    """ZSERVE_DATA_DIR, ZSERVE_STORE and ZSERVE_RUNS, and their defaults."""

    model_config = SettingsConfigDict(env_prefix="ZSERVE_", env_ignore_empty=True, frozen=True)

    data_dir: Path = CHECKOUT / "data"
    """Folder that contains `MNIST/raw`, `FashionMNIST/raw`, ..."""

    store: str | None = None
    """Folder or address of a model store; if None, models/ in the checkout, read with the shipped models."""

    runs: Path = CHECKOUT / "runs"
    """Parent folder of the runs; each run keeps its checkpoints, logs and history.csv there."""
