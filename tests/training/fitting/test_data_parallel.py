"""Several processes train as one does, and continue what another number of them began."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.e2e.server import CHECKOUT
from tests.training.fitting.parallel_training import CASES, LOSSES, TOTAL_EPOCHS, train
from training.fitting.data_parallel import ALONE, Processes
from training.fitting.trainer import initialise

pytestmark = pytest.mark.processes
CONTINUED = "batch norm"
ROUNDING = 1e-7
"""Root mean square below which a gradient is rounding."""


def train_with(processes: int, out: Path, *arguments: object) -> None:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    script = ["-m", "tests.training.fitting.parallel_training", str(out)]
    command = [sys.executable, *launcher, *script, *map(str, arguments)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the states that two processes reach, in each case."""
    folder = tmp_path_factory.mktemp("two")
    whole = (f"{case}:{TOTAL_EPOCHS}" for case in CASES)
    train_with(2, folder, *whole, f"{CONTINUED}:1")
    return folder


def assert_close(case: str, several: dict[str, Tensor], one: dict[str, Tensor]) -> None:
    """Compare numbers within float error, counts and random states exactly.

    The gradient of a bias before batch norm is zero but for rounding, which Adam enlarges to steps
    of the learning rate. Neither it nor the running mean that takes it up changes any output.
    """
    assert several.keys() == one.keys()
    names = [name for name, _ in initialise(CASES[case][0], 0).named_parameters()]
    without_effect = {
        name
        for i, name in enumerate(names)
        if float(one[f"adam.{i}.exp_avg_sq"].max()) ** 0.5 < ROUNDING
    }
    assert all(name.endswith("bias") for name in without_effect)
    for name, value in one.items():
        free = name.partition(".")[2] in without_effect or name.endswith("running_mean")
        if value.is_floating_point() and not free:
            assert torch.allclose(several[name], value, rtol=1e-3, atol=1e-4), name
        elif not value.is_floating_point():
            assert torch.equal(several[name], value), name


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one_with_the_same_batch(case: str, by_two: Path):
    two = load_file(by_two / f"{case}:{TOTAL_EPOCHS}")
    assert_close(case, two, train(case, TOTAL_EPOCHS))


def test_a_training_continues_with_another_number_of_processes(by_two: Path, tmp_path: Path):
    """Two processes train the first epoch, three the second, and one the third."""
    start = load_file(by_two / f"{CONTINUED}:1")
    del start[LOSSES]
    save_file(start, tmp_path / CONTINUED)
    train_with(3, tmp_path, f"{CONTINUED}:2", "--from-folder", tmp_path)
    start = load_file(tmp_path / f"{CONTINUED}:2")
    del start[LOSSES]
    one, whole = train(CONTINUED, TOTAL_EPOCHS, start=start), train(CONTINUED, TOTAL_EPOCHS)
    whole[LOSSES] = whole[LOSSES][-2:]  # those of the last epoch
    assert_close(CONTINUED, one, whole)


@pytest.mark.parametrize(("batch", "size"), [(10, 3), (3, 3), (2, 3), (1, 2), (128, 5)])
def test_every_row_counts_once(batch: int, size: int):
    rows = torch.arange(float(batch)) ** 2
    parts = [Processes(rank, size) for rank in range(size)]
    mean = sum(float(part.own(rows).mean()) * part.share(batch) for part in parts)
    assert mean == pytest.approx(float(rows.mean()))


def test_the_rows_of_a_process_are_the_same_images_in_each_copy():
    images = torch.arange(10)
    own = Processes(1, 3).own(torch.cat([images, images + 100]), copies=2)
    assert own.tolist() == [3, 4, 5, 103, 104, 105]


def test_a_single_process_has_all_rows_as_they_are():
    rows = torch.arange(4)
    assert ALONE.own(rows) is rows
    assert ALONE.share(4) == 1
    assert ALONE.send("text") == "text"
