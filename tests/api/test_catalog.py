import asyncio
from pathlib import Path

import pytest
import torch

from app.catalog import Catalog
from app.engine import Engine
from model_store import ModelRef, Store, StoredModel
from tests.api.service import publish


class CountingStore(Store):
    """A store that remembers what was loaded."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.loads: list[str] = []

    def load(self, ref: ModelRef) -> StoredModel:
        self.loads.append(str(ref))
        return super().load(ref)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    for seed in range(3):
        publish(tmp_path, seed=seed)
    return CountingStore(tmp_path)


def in_catalog(store: Store, references: list[list[str]], capacity: int = 2) -> list[str]:
    """Ask for groups of models, those of a group at once; -> what was given."""

    async def run() -> list[str]:
        engine = Engine(queue_images=64, timeout_s=30)
        catalog = Catalog(store, engine, torch.device("cpu"), default="mnist", capacity=capacity)
        try:
            given = []
            for group in references:
                models = await asyncio.gather(*(catalog.get(reference) for reference in group))
                given += [str(model.ref) for model in models]
            return given
        finally:
            await catalog.close()
            engine.close()

    return asyncio.run(run())


def test_a_version_is_loaded_once_for_all_who_ask_at_once(store: CountingStore) -> None:
    given = in_catalog(store, [["mnist", "mnist@1", "mnist@production"] * 5])
    assert set(given) == {"mnist@1"}
    assert store.loads == ["mnist@1"]


def test_the_least_recently_used_version_leaves_first(store: CountingStore) -> None:
    in_catalog(store, [["mnist@1"], ["mnist@2"], ["mnist@1"], ["mnist@3"], ["mnist@1"]])
    assert store.loads == ["mnist@1", "mnist@2", "mnist@3"]
    store.loads.clear()
    in_catalog(store, [["mnist@1"], ["mnist@2"], ["mnist@3"], ["mnist@1"]])
    assert store.loads == ["mnist@1", "mnist@2", "mnist@3", "mnist@1"]


def test_a_waiter_that_leaves_does_not_stop_the_load_for_the_others(store: CountingStore) -> None:
    async def run() -> str:
        engine = Engine(queue_images=64, timeout_s=30)
        catalog = Catalog(store, engine, torch.device("cpu"), default="mnist", capacity=2)
        leaving = asyncio.create_task(catalog.get("mnist"))
        staying = asyncio.create_task(catalog.get("mnist"))
        await asyncio.sleep(0)
        leaving.cancel()
        try:
            return str((await staying).ref)
        finally:
            await catalog.close()
            engine.close()

    assert asyncio.run(run()) == "mnist@1"
    assert store.loads == ["mnist@1"]
