"""Where things are; the only module of `training` that reads the environment."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """ZSERVE_DATA_DIR, ZSERVE_STORE and ZSERVE_RUNS, and what stands in for them where they are not set."""

    model_config = SettingsConfigDict(env_prefix="ZSERVE_", env_ignore_empty=True, frozen=True)

    data_dir: Path = CHECKOUT / "data"
    """Holds `MNIST/raw`, `FashionMNIST/raw`, ..."""

    store: Path | None = None
    """Folder of a model store; if None, models/ in the checkout, read with the shipped models."""

    runs: Path = CHECKOUT / "runs"
    """A folder for each run: checkpoints, logs, history.csv."""
