import asyncio
import gc
import os
import time
from pathlib import Path

import pytest
import torch

from app.errors import LoadError
from app.inference.backend import ChosenBackend
from app.inference.cuda_graphs import unusable_reason
from app.inference.engine import Engine
from app.inference.model_cache import RETRY_S, ModelCache
from app.settings import Settings
from model_store.spec import ModelRef
from model_store.store import WEIGHTS, Store, StoredModel
from tests.api.service import Service, publish, started


class CountingStore(Store):
    """A store that records which versions were resolved and loaded."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.loads: list[str] = []
        self.resolved: list[str] = []

    def resolve(self, ref: ModelRef) -> ModelRef:
        self.resolved.append(str(ref))
        return super().resolve(ref)

    def load(self, ref: ModelRef) -> StoredModel:
        self.loads.append(str(ref))
        return super().load(ref)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    for seed in range(3):
        publish(tmp_path, seed=seed)
    return CountingStore(tmp_path)


def an_engine() -> Engine:
    return Engine(ChosenBackend("cpu"), timeout_s=30)


def in_cache(
    store: Store, references: list[list[str]], capacity: int = 2, max_bytes: int | None = None
) -> list[str]:
    """Get groups of models, those of a group at once; return the versions that came."""

    async def run() -> list[str]:
        engine = an_engine()
        cache = ModelCache(store, engine, default="mnist", capacity=capacity, max_bytes=max_bytes)
        try:
            versions = []
            for group in references:
                models = await asyncio.gather(*(cache.get(reference) for reference in group))
                versions += [str(model.ref) for model in models]
            return versions
        finally:
            await cache.close()
            engine.close()

    return asyncio.run(run())


def test_concurrent_requests_for_a_version_load_it_once(store: CountingStore) -> None:
    versions = in_cache(store, [["mnist", "mnist@1", "mnist@production"] * 5])
    assert set(versions) == {"mnist@1"}
    assert store.loads == ["mnist@1"]


def test_the_least_recently_used_version_is_dropped_first(store: CountingStore) -> None:
    in_cache(store, [["mnist@1"], ["mnist@2"], ["mnist@1"], ["mnist@3"], ["mnist@1"]])
    assert store.loads == ["mnist@1", "mnist@2", "mnist@3"]
    store.loads.clear()
    in_cache(store, [["mnist@1"], ["mnist@2"], ["mnist@3"], ["mnist@1"]])
    assert store.loads == ["mnist@1", "mnist@2", "mnist@3", "mnist@1"]


def test_memory_is_also_bounded_by_the_size_of_the_weights(store: CountingStore) -> None:
    size = store.manifest(ModelRef.parse("mnist@1")).files["weights.safetensors"].size_bytes
    asked = [["mnist@1"], ["mnist@2"], ["mnist@1"]]
    in_cache(store, asked, capacity=9, max_bytes=2 * size)
    assert store.loads == ["mnist@1", "mnist@2"]
    store.loads.clear()
    in_cache(store, asked, capacity=9, max_bytes=2 * size - 1)
    assert store.loads == ["mnist@1", "mnist@2", "mnist@1"]
    store.loads.clear()
    in_cache(store, asked[:1] * 2, capacity=9, max_bytes=1)
    assert store.loads == ["mnist@1"]


def test_a_reference_is_resolved_in_the_store_only_once(store: CountingStore) -> None:
    in_cache(store, [["mnist"], ["mnist"], ["mnist@2"], ["mnist@2"], ["mnist@production"]])
    resolved = len(store.resolved)
    store.resolved.clear()
    in_cache(store, [["mnist"], ["mnist@2"]])
    assert len(store.resolved) == resolved


def test_a_cancelled_caller_does_not_stop_the_load_for_the_others(store: CountingStore) -> None:
    async def run() -> str:
        engine = an_engine()
        cache = ModelCache(store, engine, default="mnist", capacity=2)
        leaving = asyncio.create_task(cache.get("mnist"))
        staying = asyncio.create_task(cache.get("mnist"))
        await asyncio.sleep(0)
        leaving.cancel()
        try:
            return str((await staying).ref)
        finally:
            await cache.close()
            engine.close()

    assert asyncio.run(run()) == "mnist@1"
    assert store.loads == ["mnist@1"]


def damage(store: Store, version: int) -> bytes:
    """Change the last byte of the weights; -> what they were."""
    path = store.root / "mnist" / str(version) / WEIGHTS
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return content


def test_a_promotion_and_a_roll_back_are_noticed_within_a_second(store: CountingStore) -> None:
    with started(Settings(store=store.root, device="cpu")) as service:

        def serves(version: int) -> bool:
            for _ in range(100):
                if service.get("/generate?n=1").headers["x-model"] == f"mnist@{version}":
                    return True
                time.sleep(0.01)
            return False

        assert serves(1)
        for version in (2, 3, 1):
            store.set_alias("mnist", "production", version)
            assert serves(version)


def test_a_bad_version_is_refused_and_the_old_one_stays(
    store: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    damage(store, 2)
    with started(Settings(store=store.root, device="cpu")) as service:
        before = service.get("/generate?seed=1")
        store.set_alias("mnist", "production", 2)
        service.portal.call(service.app.state.services.model_cache.refresh)
        ready = service.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["model"] == "mnist@1"
        assert "mnist@production stays mnist@1" in ready.json()["degraded"][0]
        assert WEIGHTS in ready.json()["degraded"][0]
        assert service.get("/generate?seed=1").content == before.content
        assert "stays mnist@1" in caplog.text
        store.set_alias("mnist", "production", 3)
        service.portal.call(service.app.state.services.model_cache.refresh)
        assert service.get("/readyz").json()["model"] == "mnist@3"
        assert "degraded" not in service.get("/readyz").json()


@pytest.mark.skipif(
    unusable_reason() is None or not torch.backends.cuda.is_built(),
    reason="needs a CUDA build of torch, and no GPU",
)
def test_a_version_that_the_gpu_cannot_take_is_refused_and_the_old_one_stays(
    store: CountingStore,
) -> None:
    with started(Settings(store=store.root, device="cpu")) as service:
        services = service.app.state.services
        services.engine.backend = ChosenBackend("cuda")
        store.set_alias("mnist", "production", 2)
        service.portal.call(services.model_cache.refresh)
        ready = service.get("/readyz").json()
        assert ready["model"] == "mnist@1"
        assert "mnist@2 cannot run on cuda" in ready["degraded"][0]


def test_a_refused_version_is_tried_again_after_a_while(store: CountingStore) -> None:
    content = damage(store, 2)
    now = 1000.0

    async def run() -> None:
        nonlocal now
        engine = an_engine()
        cache = ModelCache(store, engine, default="mnist", capacity=4, clock=lambda: now)
        await cache.get()
        store.set_alias("mnist", "production", 2)
        await cache.refresh()
        (store.root / "mnist" / "2" / WEIGHTS).write_bytes(content)
        now += RETRY_S - 0.1
        await cache.refresh()
        assert str((await cache.get()).ref) == "mnist@1"
        now += 0.1
        await cache.refresh()
        assert str((await cache.get()).ref) == "mnist@2"
        assert cache.refusals == ()
        await cache.close()
        engine.close()

    asyncio.run(run())


def test_a_store_that_cannot_be_read_for_a_while_stops_nothing(store: CountingStore) -> None:
    with started(Settings(store=store.root, device="cpu")) as service:
        before = service.get("/generate?seed=1").content
        hidden = store.root.with_name("hidden")
        store.root.rename(hidden)
        service.portal.call(service.app.state.services.model_cache.refresh)
        assert service.get("/generate?seed=1").content == before
        assert "no model 'mnist'" in service.get("/readyz").json()["degraded"][0]
        hidden.rename(store.root)
        service.portal.call(service.app.state.services.model_cache.refresh)
        assert "degraded" not in service.get("/readyz").json()


def swap_under_load(store: Store, swaps: int, capacity: int) -> int:
    """Swap while requests run; every answer must be whole, and of the version that it names."""
    answered = 0

    async def load(service: Service, expected: dict[str, bytes], stop: asyncio.Event) -> None:
        nonlocal answered
        while not stop.is_set():
            answer = await service.client.get("/generate?n=3&seed=5&metadata=false")
            assert answer.status_code == 200
            assert expected[answer.headers["x-weights-sha256"]] == answer.content
            answered += 1

    async def run(service: Service) -> None:
        expected = {}
        for version in (1, 2, 3):
            answer = await service.client.get(
                f"/generate?n=3&seed=5&metadata=false&model=mnist@{version}"
            )
            expected[answer.headers["x-weights-sha256"]] = answer.content
        assert len(expected) == 3
        stop = asyncio.Event()
        cache: ModelCache = service.app.state.services.model_cache
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(load(service, expected, stop))
            for swap in range(swaps):
                version = 1 + swap % 3
                store.set_alias("mnist", "production", version)
                await cache.refresh()
                assert (await cache.get()).ref.version == version
            stop.set()

    settings = Settings(store=store.root, device="cpu", max_loaded_models=capacity)
    with started(settings) as service:
        service.portal.call(run, service)
    return answered


@pytest.mark.parametrize("capacity", [1, 4])
def test_no_request_fails_or_mixes_versions_while_they_are_swapped(
    store: CountingStore, capacity: int
) -> None:
    assert swap_under_load(store, swaps=12, capacity=capacity) > 12


@pytest.mark.slow
def test_a_thousand_swaps_under_load_leave_memory_as_it_was(store: CountingStore) -> None:
    process = Path("/proc/self/statm")

    def resident_mb() -> float:
        gc.collect()
        return int(process.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6

    swap_under_load(store, swaps=200, capacity=1)
    before = resident_mb()
    assert swap_under_load(store, swaps=1000, capacity=1) > 1000
    assert resident_mb() - before < 20


class BrokenStore(CountingStore):
    """A store whose version 2 of any model cannot be loaded, for a reason that no check names."""

    failure: Exception

    def load(self, ref: ModelRef) -> StoredModel:
        stored = super().load(ref)
        if ref.version == 2:
            raise self.failure
        return stored


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("no storage of that size\nat line 1\nat line 2"),
        MemoryError(),
        RecursionError("maximum recursion depth exceeded"),
        OSError(5, "Input/output error"),
        TypeError("exponent is a list"),
        TimeoutError(),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_any_error_of_a_load_is_a_refusal_that_does_not_stop_other_promotions(
    store: CountingStore, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store.root, "other", seed=7)
    publish(store.root, "other", seed=8)
    publish(store.root, "other", seed=9)
    broken = BrokenStore(store.root)
    broken.failure = failure

    async def run() -> None:
        engine = an_engine()
        cache = ModelCache(broken, engine, default="mnist", capacity=9)
        await cache.get()
        await cache.get("other")
        broken.set_alias("mnist", "production", 2)
        broken.set_alias("other", "production", 3)
        for _ in range(3):
            await cache.refresh()
        assert (await cache.get()).name == "mnist@1"
        assert (await cache.get("other")).name == "other@3"
        (line,) = cache.degraded
        assert line.startswith("mnist@production stays mnist@1: mnist@2 cannot be loaded: ")
        assert type(failure).__name__ in line
        assert "\n" not in line
        with pytest.raises(LoadError, match="mnist@2 cannot be loaded"):
            await cache.get("mnist@2")
        await cache.close()
        engine.close()

    with caplog.at_level("INFO", "zserve"):
        asyncio.run(run())
    (refused,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "mnist@2 cannot be loaded" in refused.getMessage()
    assert refused.exc_info is None


def test_an_alias_that_cannot_be_resolved_does_not_stop_the_others(store: CountingStore) -> None:
    publish(store.root, "other", seed=7)
    publish(store.root, "other", seed=8)

    class DamagedAliases(CountingStore):
        damaged = False

        def resolve(self, ref: ModelRef) -> ModelRef:
            if ref.name == "mnist" and self.damaged:
                raise RecursionError("aliases.json is nested too deeply")
            return super().resolve(ref)

    async def run() -> None:
        engine = an_engine()
        damaged = DamagedAliases(store.root)
        cache = ModelCache(damaged, engine, default="mnist", capacity=9)
        await cache.get("mnist")
        await cache.get("other")
        damaged.damaged = True
        store.set_alias("other", "production", 2)
        await cache.refresh()
        assert (await cache.get("other")).name == "other@2"
        assert "nested too deeply" in cache.degraded[0]
        await cache.close()
        engine.close()

    asyncio.run(run())
