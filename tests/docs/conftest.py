import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_store.store import SHIPPED
from tests.docs.scratch import Scratch, free_port, furnish, start_warm
from tests.e2e.server import CHECKOUT
from tests.training.conftest import write_mnist


@pytest.fixture(scope="package")
def warm() -> Iterator[str]:
    """Start a process that has imported torch; yield the path of its socket, which must be short."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/warm"
        process = start_warm(address)
        try:
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def new_scratch(warm: str, tmp_path: Path) -> Iterator[Callable[[], Scratch]]:
    """Yield a function that makes a scratch folder; stop its service at the end."""
    made: list[Scratch] = []

    def make() -> Scratch:
        furnish(tmp_path, warm)
        store = tmp_path / "models"
        shutil.copytree(SHIPPED, store)
        write_mnist(tmp_path / "data", train=256, test=32)
        variables = {
            "ZSERVE_STORE": str(store),
            "ZSERVE_DATA_DIR": str(tmp_path / "data"),
            "ZSERVE_RUNS": str(tmp_path / "runs"),
            "ZSERVE_DEVICE": "cpu",
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "Agg",
            "PYTHONPATH": str(CHECKOUT),
        }
        made.append(Scratch(tmp_path, variables, free_port()))
        return made[-1]

    yield make
    for scratch in made:
        scratch.stop()
