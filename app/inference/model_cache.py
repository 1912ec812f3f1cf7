"""Cache of loaded models that follows the store and drops the least recently used ones.

A reference such as `mnist@production` is resolved in the store when it is first requested. From
then on `watch` resolves it periodically. If the alias means another version, that version is loaded
and warmed up beside the old one, and replaces it in one assignment. Later requests therefore never
read the store, always get one complete version, and never wait for a swap. If the new version cannot
be loaded, it is refused and the old one stays.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.errors import DefaultModelError, LoadError, NotReadyError, UnavailableError
from app.inference.engine import Engine
from app.inference.hooks import EngineHooks, NullHooks
from app.inference.loaded_model import LoadedModel
from app.inference.store_threads import LOCK_TIMEOUT_S, StoreThreads
from model_store.errors import StoreError
from model_store.spec import ModelRef
from model_store.store import Store

log = logging.getLogger("zserve")

WATCH_PERIOD_S = 0.3
"""Seconds between two checks of the store."""

RETRY_S = 10.0
"""Seconds until a refused version is loaded again."""


@dataclass(frozen=True)
class Refusal:
    """An alias's new version that could not be loaded."""

    target: ModelRef | None
    """The version, or None if the alias cannot be resolved."""
    reason: str
    at: float
    """Time (s) of the refusal, by the clock of the cache."""


class ModelCache:
    """References -> loaded models. Call it from one event loop.

    `capacity` and `max_bytes` (of weights) bound what stays in memory; one model always stays.
    `promotion_timeout_s` bounds the wait of a promotion for those of other processes.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        *,
        default: str,
        capacity: int,
        max_bytes: int | None = None,
        promotion_timeout_s: float = LOCK_TIMEOUT_S,
        hooks: EngineHooks | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store_threads = StoreThreads(store, lock_timeout_s=promotion_timeout_s)
        self.default = ModelRef.parse(default)
        self._engine = engine
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._hooks = hooks or NullHooks()
        self._clock = clock
        self._serving: dict[ModelRef, ModelRef] = {}
        self._loaded: OrderedDict[ModelRef, LoadedModel] = OrderedDict()
        self._loading: dict[ModelRef, asyncio.Task[LoadedModel]] = {}
        self._load_lock = asyncio.Lock()
        self._refresh_lock = asyncio.Lock()
        self._refusals: dict[ModelRef, Refusal] = {}

    async def get(self, reference: str | None = None) -> LoadedModel:
        """Return the model of `name`, `name@version` or `name@alias`, or the default model.

        Raises the errors of `ModelRef.parse`, `Store.resolve` and `Store.load`, and UnavailableError.
        """
        ref = self.default if reference is None else ModelRef.parse(reference)
        target = ref if ref.version else self._serving.get(ref)
        if target is not None and (loaded := self._loaded.get(target)) is not None:
            self._loaded.move_to_end(target)
            return loaded
        if target is None or target == ref:
            target = await self.store_threads.read(self.store_threads.store.resolve, ref)
        model = await self._load_once(target)
        if not ref.version:
            self._serving.setdefault(ref, target)
        self._make_room()
        return model

    def peek(self, reference: str | None = None) -> LoadedModel | None:
        """Return the model of a reference if `get` would return it at once, else None."""
        try:
            ref = self.default if reference is None else ModelRef.parse(reference)
        except StoreError:
            return None
        target = ref if ref.version else self._serving.get(ref)
        return None if target is None else self._loaded.get(target)

    async def default_or_reason(self) -> LoadedModel:
        """Return the default model; raises DefaultModelError with the reason if it has none."""
        try:
            return await self.get()
        except StoreError as error:
            raise DefaultModelError(f"{self.default} cannot be served: {error}") from error

    @property
    def has_default(self) -> bool:
        """True once the default model has been loaded: it is then served, or loaded again."""
        return self.default in self._serving or self.default in self._loaded

    async def promote(self, name: str, alias: str, version: int) -> dict[str, int]:
        """Load a version, point an alias at it, and return the aliases of its model.

        If the version cannot be loaded, nothing changes. Raises the errors of `get` and of
        `Store.set_alias`.
        """
        ref = (await self.get(f"{name}@{version}")).ref
        await self.store_threads.set_alias(ref.name, alias, version)
        await self.refresh()
        return await self.store_threads.read(self.store_threads.store.aliases, ref.name)

    @property
    def refusals(self) -> tuple[str, ...]:
        """One line for each alias whose new version is refused and whose old version stays."""
        return tuple(
            f"{ref} stays {self._serving[ref]}: {refusal.reason}"
            for ref, refusal in self._refusals.items()
            if ref in self._serving
        )

    @property
    def degraded(self) -> tuple[str, ...]:
        """A line if the store does not answer, the refusals, and a line for each model that this
        machine computes wrongly.
        """
        away = self.store_threads.store.unavailable
        mismatches = tuple(
            f"{model.name}: results of {', '.join(model.mismatches)} differ on this machine from "
            f"those published for {model.manifest.arithmetic}"
            for model in self._loaded.values()
            if model.mismatches
        )
        stale = () if away is None else (f"copies are served, without later promotions: {away}",)
        return (*stale, *self.refusals, *mismatches)

    async def watch(self) -> None:
        """Follow the store until cancelled."""
        while True:
            await asyncio.sleep(WATCH_PERIOD_S)
            try:
                await self.refresh()
            except UnavailableError as error:
                log.error("the aliases are not read: %s", error)  # noqa: TRY400 - expected
            except Exception:
                log.exception("the store could not be read; trying again in %g s", WATCH_PERIOD_S)

    async def refresh(self) -> None:
        """Resolve the references in use again; swap those that mean another version now."""
        async with self._refresh_lock:
            refs = tuple(self._serving)
            targets = await self.store_threads.read(_resolve_all, self.store_threads.store, refs)
            self._hooks.store_asked(ok=self.store_threads.store.unavailable is None)
            for ref, target in targets.items():
                if target == self._serving[ref]:
                    self._refusals.pop(ref, None)
                else:
                    await self._swap(ref, target)

    async def close(self) -> None:
        """Cancel the loads that are running, and drop all models."""
        tasks = list(self._loading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loaded.clear()
        self.store_threads.close()

    async def _swap(self, ref: ModelRef, target: ModelRef | StoreError) -> None:
        """Serve the target under this reference; if that fails, keep the old version and log why."""
        refusal = self._refusals.get(ref)
        version = target if isinstance(target, ModelRef) else None
        if (
            refusal is not None
            and refusal.target == version
            and self._clock() - refusal.at < RETRY_S
        ):
            return
        try:
            if isinstance(target, StoreError):
                raise target
            await self._load_once(target)
        except (StoreError, NotReadyError) as error:
            self._refusals[ref] = Refusal(version, str(error), self._clock())
            self._hooks.swapped(str(ref), ok=False)
            log.error("%s stays %s: %s", ref, self._serving[ref], error)  # noqa: TRY400 - expected
            return
        before = self._serving[ref]
        self._serving[ref] = target
        self._refusals.pop(ref, None)
        self._hooks.swapped(str(ref), ok=True)
        log.info("%s is now %s (was %s)", ref, target, before)
        self._make_room()

    async def _load_once(self, ref: ModelRef) -> LoadedModel:
        """Await the one load of this version; a caller that is cancelled does not stop it."""
        if ref in self._loaded:
            self._loaded.move_to_end(ref)
            return self._loaded[ref]
        task = self._loading.get(ref)
        if task is None:
            task = self._loading[ref] = asyncio.create_task(self._load(ref))
            task.add_done_callback(lambda done: self._load_ended(ref, done))
        return await asyncio.shield(task)

    async def _load(self, ref: ModelRef) -> LoadedModel:
        """Load one version at a time, so that memory exceeds the bounds by at most one version.

        Raises StoreError, NotReadyError, and LoadError for any other exception: no version may stop
        the promotions of others.
        """
        async with self._load_lock:
            try:
                stored = await self.store_threads.load(ref)
                return await self._engine.warm_up(stored)
            except (StoreError, NotReadyError):
                raise
            except Exception as error:
                log.debug("%s cannot be loaded", ref, exc_info=True)
                reason = str(error).partition("\n")[0][:200]
                raise LoadError(
                    f"{ref} cannot be loaded: {type(error).__name__}: {reason}"
                ) from error

    def _load_ended(self, ref: ModelRef, task: "asyncio.Task[LoadedModel]") -> None:
        del self._loading[ref]
        if task.cancelled():
            return
        self._hooks.model_loaded(str(ref), ok=task.exception() is None)
        if task.exception() is None:
            model = self._loaded[ref] = task.result()
            weights = model.manifest.weights_sha256
            arithmetic = model.arithmetic.partition(" ")[0]
            log.info("%s (%s) loaded on %s, weights %.12s", ref, arithmetic, model.device, weights)

    def _make_room(self) -> None:
        """Drop the least recently used models; running requests keep theirs alive."""
        while len(self._loaded) > 1 and not self._fits():
            ref, _ = self._loaded.popitem(last=False)
            log.info("%s left memory", ref)

    def _fits(self) -> bool:
        total = sum(model.size_bytes for model in self._loaded.values())
        enough = self._max_bytes is None or total <= self._max_bytes
        return enough and len(self._loaded) <= self._capacity


def _resolve_all(store: Store, refs: Iterable[ModelRef]) -> dict[ModelRef, ModelRef | StoreError]:
    """Return for each reference the version that it means now, or the error of resolving it."""
    targets: dict[ModelRef, ModelRef | StoreError] = {}
    for ref in refs:
        try:
            targets[ref] = store.resolve(ref)
        except StoreError as error:
            targets[ref] = error
        except Exception as error:  # noqa: BLE001 - one reference must not stop the others
            targets[ref] = StoreError(f"{ref} cannot be resolved: {type(error).__name__}: {error}")
    return targets
