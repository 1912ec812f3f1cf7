"""Begin every module and every test with the same random state, whatever ran in the process before."""

import random
import sys

import numpy as np
import pytest


@pytest.fixture(scope="module", autouse=True)
def _seeded_module() -> None:
    _seed()


@pytest.fixture(autouse=True)
def _seeded_test() -> None:
    _seed()


def _seed() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - for code that uses the global state
    if torch := sys.modules.get("torch"):  # most tests need none, and its import takes seconds
        torch.manual_seed(0)
