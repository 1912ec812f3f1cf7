from pathlib import Path

import pytest
import torch

from model_store.vae import VAE
from training.fitting.events import Averages, EpochDone
from training.runs.run_log import COLUMNS, RunLog, history_csv, sample_grid, scalars

DONE = EpochDone(1, Averages(6.0, 4.0, 2.0), Averages(7.0, 5.0, 2.0), 123.0, 0.5, 1e-3)


def test_history_has_a_line_of_numbers_per_epoch():
    header, line = history_csv([DONE]).splitlines()
    assert tuple(header.split(",")) == COLUMNS
    assert line == "1,6.0,4.0,2.0,7.0,5.0,2.0,0.5,0.001,123.0"


def test_the_sample_grid_uses_the_same_latents_each_time_and_no_global_random_state(vae: VAE):
    before = torch.get_rng_state()
    assert torch.equal(sample_grid(vae), sample_grid(vae))
    assert torch.equal(torch.get_rng_state(), before)


def test_tensorboard_can_read_curves_and_samples_back(tmp_path: Path, vae: VAE):
    from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
        EventAccumulator,
    )

    with RunLog(tmp_path, (), tensorboard=True) as log:
        log.write(DONE, vae)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for name, value in scalars(DONE).items():
        (scalar,) = events.Scalars(name)
        assert (scalar.step, scalar.value) == (1, pytest.approx(value))
    (image,) = events.Images("samples")
    assert (image.height, image.width) == (8 * 30 + 2, 8 * 30 + 2)


def test_without_tensorboard_there_is_only_the_history(tmp_path: Path, vae: VAE):
    with RunLog(tmp_path, (DONE,), tensorboard=False) as log:
        log.write(DONE, vae)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 3
