from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.inference.engine import Engine
from app.settings import Settings
from app.typing import Floats
from tests.api.service import Service, publish, started


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish two versions of `mnist` and one of `other`; tests must not change this store."""
    root = tmp_path_factory.mktemp("store")
    publish(root, "mnist", seed=0)
    publish(root, "mnist", seed=1)
    publish(root, "other", seed=2)
    return root


@pytest.fixture(scope="session")
def service(store: Path) -> Iterator[Service]:
    with started(Settings(store=store, device="cpu", log_requests=False)) as service:
        yield service


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the number of images of each call of the engine."""
    calls: list[int] = []

    def counting(function: Any) -> Any:
        async def counted(self: Engine, model: object, images: Floats, *others: Floats) -> object:
            calls.append(len(images))
            return await function(self, model, images, *others)

        return counted

    for name in ("encode", "decode", "decode_levels", "log_likelihood"):
        monkeypatch.setattr(Engine, name, counting(getattr(Engine, name)))
    return calls
