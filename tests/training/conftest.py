import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from model_store.spec import MLP, ModelSpec
from model_store.vae import VAE
from tests.e2e.server import CHECKOUT
from training.cli.main import main
from training.data.images import Images
from training.fitting.trainer import initialise
from training.settings import TrainingSettings


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write MNIST's IDX format: two zeros, type 8 (uint8), dimensions, sizes, values."""
    sizes = np.array(array.shape, dtype=">u4").tobytes()
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def strokes(count: int, seed: int) -> np.ndarray:
    """Generate bright bars, vertical or horizontal, near the middle; (count, 28, 28) uint8."""
    rng = np.random.default_rng(seed)
    images = np.zeros((count, 28, 28), dtype=np.uint8)
    for image in images:
        start, at = rng.integers(4, 8), rng.integers(6, 20)
        image[start : start + 16, at : at + 3] = rng.integers(180, 256)
        if rng.random() < 0.5:
            image[:] = image.T.copy()
    return images


def write_mnist(data_dir: Path, train: int, test: int) -> None:
    """Write generated images into the folder where torchvision looks for MNIST."""
    raw = data_dir / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for seed, (prefix, count) in enumerate({"train": train, "t10k": test}.items()):
        write_idx(raw / f"{prefix}-images-idx3-ubyte", strokes(count, seed))
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", np.zeros(count, dtype=np.uint8))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 512 + 64 generated images in MNIST's format."""
    folder = tmp_path_factory.mktemp("data")
    write_mnist(folder, train=512, test=64)
    return folder


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    folder = TrainingSettings().data_dir
    if not (folder / "MNIST" / "raw" / "train-images-idx3-ubyte").exists():
        pytest.skip(f"no MNIST in {folder}; set ZSERVE_DATA_DIR to run this")
    return folder


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec(network=MLP(hidden=(16,)), latent=3)


@pytest.fixture
def vae(spec: ModelSpec) -> VAE:
    return initialise(spec, seed=0)


@pytest.fixture
def images() -> Images:
    return Images(torch.from_numpy(strokes(64, seed=7)).unsqueeze(1))


@pytest.fixture(autouse=True)
def runs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for the checkpoints and logs of this test's runs."""
    folder = tmp_path_factory.mktemp("runs")
    monkeypatch.setenv("ZSERVE_RUNS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread: several test processes with two threads each would compete for the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    torch.set_flush_denormal(False)


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start `python -m training` as a process, without ZSERVE_DATA_DIR and ZSERVE_STORE."""
    # a shell that runs the tests in the background ignores SIGINT, and children inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        [sys.executable, "-m", "training", *arguments],
        cwd=CHECKOUT,
        env={k: v for k, v in os.environ.items() if k not in {"ZSERVE_DATA_DIR", "ZSERVE_STORE"}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call(*arguments: str) -> int:
    """Run `python -m training` in this process, which is faster; return the exit code."""
    return main(arguments)


def bars(images: int, seed: int = 0) -> Images:
    """Generate two classes: a vertical and a horizontal bar at a random place."""
    noise = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (images,), generator=noise)
    pixels = torch.zeros(images, 1, 28, 28, dtype=torch.uint8)
    for image, label in zip(pixels, labels.tolist(), strict=True):
        place = int(torch.randint(8, 20, (1,), generator=noise))
        image[0, :, place - 1 : place + 2] = 255
        if label:
            image[0] = image[0].T.clone()
    return Images(pixels, labels)
