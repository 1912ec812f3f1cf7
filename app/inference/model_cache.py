"""The models that are in memory: found by reference, loaded once, the least used leave.

A reference such as `mnist@production` is looked up in the store when it is first asked for. From
then on `watch` looks after it: where it means another version, that is loaded and warmed up
beside the old one, and takes its place in one assignment. So a request costs no look at the
store, always gets one whole version, and never waits for a swap. A version that cannot be loaded
is refused, and the old one stays.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from app.errors import NotReadyError
from app.inference.engine import Engine, LoadedModel
from app.inference.hooks import Observer, Silence
from model_store.errors import StoreError
from model_store.spec import ModelRef
from model_store.store import Store

log = logging.getLogger("zserve")

WATCH_PERIOD_S = 0.3
"""How long a promotion may go unnoticed."""
_RETRY_S = 10.0
"""How long a version that was refused is left alone."""


@dataclass(frozen=True)
class Refusal:
    """A version that an alias means and that cannot be served."""

    target: ModelRef | None
    reason: str
    at: float


class Catalog:
    """References -> loaded models. Call it from one event loop."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        device: torch.device,
        *,
        default: str,
        capacity: int,
        max_bytes: int | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.store = store
        self.device = device
        self.default = ModelRef.parse(default)
        self._engine = engine
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._observer = observer or Silence()
        self._serving: dict[ModelRef, ModelRef] = {}
        self._loaded: OrderedDict[ModelRef, LoadedModel] = OrderedDict()
        self._loading: dict[ModelRef, asyncio.Task[LoadedModel]] = {}
        self._one_load = asyncio.Lock()
        self._one_look = asyncio.Lock()
        self._refusals: dict[ModelRef, Refusal] = {}

    async def get(self, reference: str | None = None) -> LoadedModel:
        """The model of `name`, `name@version` or `name@alias`, or the default one.

        Raises what `ModelRef.parse`, `Store.resolve` and `Store.load` raise.
        """
        ref = self.default if reference is None else ModelRef.parse(reference)
        target = ref if ref.version else self._serving.get(ref)
        if target is not None and (known := self._loaded.get(target)) is not None:
            self._loaded.move_to_end(target)
            return known
        if target is None or target == ref:
            target = self.store.resolve(ref)
        model = await self._load_once(target)
        if not ref.version:
            self._serving.setdefault(ref, target)
        self._make_room()
        return model

    async def default_or_reason(self) -> LoadedModel:
        """The default model; raises NotReadyError with the reason where it cannot be served."""
        try:
            return await self.get()
        except StoreError as error:
            raise NotReadyError(
                f"{self.default} cannot be served: {error}",
                remedy="publish it, or choose another with ZSERVE_MODEL and ZSERVE_STORE",
            ) from error

    @property
    def refusals(self) -> tuple[str, ...]:
        """What the store asks for and cannot be served, one line each; the old versions stay."""
        return tuple(
            f"{ref} stays {self._serving[ref]}: {refusal.reason}"
            for ref, refusal in self._refusals.items()
            if ref in self._serving
        )

    async def watch(self) -> None:
        """Follow the store until cancelled."""
        while True:
            await asyncio.sleep(WATCH_PERIOD_S)
            try:
                await self.refresh()
            except Exception:
                log.exception("the store could not be followed; the next look is in a moment")

    async def refresh(self) -> None:
        """Look at the store now; where a reference means another version, swap."""
        async with self._one_look:
            found = await asyncio.to_thread(_look, self.store, tuple(self._serving))
            for ref, target in found.items():
                if target == self._serving[ref]:
                    self._refusals.pop(ref, None)
                else:
                    await self._swap(ref, target)

    async def close(self) -> None:
        """Abandon loads under way."""
        tasks = list(self._loading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loaded.clear()

    async def _swap(self, ref: ModelRef, target: ModelRef | StoreError) -> None:
        """Serve the target under this reference, or keep what is served and say why."""
        refusal = self._refusals.get(ref)
        wanted = target if isinstance(target, ModelRef) else None
        young = refusal is not None and time.monotonic() - refusal.at < _RETRY_S
        if refusal is not None and refusal.target == wanted and young:
            return
        try:
            if isinstance(target, StoreError):
                raise target
            await self._load_once(target)
        except (StoreError, NotReadyError) as error:
            self._refusals[ref] = Refusal(wanted, str(error), time.monotonic())
            self._observer.swapped(str(ref), ok=False)
            log.error("%s stays %s: %s", ref, self._serving[ref], error)  # noqa: TRY400 - a reason, no crash
            return
        before = self._serving[ref]
        self._serving[ref] = target
        self._refusals.pop(ref, None)
        self._observer.swapped(str(ref), ok=True)
        log.info("%s is now %s (was %s)", ref, target, before)
        self._make_room()

    async def _load_once(self, ref: ModelRef) -> LoadedModel:
        """Every caller waits for the same load; a waiter that leaves does not stop it."""
        if ref in self._loaded:
            self._loaded.move_to_end(ref)
            return self._loaded[ref]
        task = self._loading.get(ref)
        if task is None:
            task = self._loading[ref] = asyncio.create_task(self._load(ref))
            task.add_done_callback(lambda done: self._load_ended(ref, done))
        return await asyncio.shield(task)

    async def _load(self, ref: ModelRef) -> LoadedModel:
        """One at a time, so that memory holds at most one version more than the bounds."""
        async with self._one_load:
            stored = await asyncio.to_thread(self.store.load, ref)
            return await self._engine.warm_up(stored, self.device)

    def _load_ended(self, ref: ModelRef, task: "asyncio.Task[LoadedModel]") -> None:
        del self._loading[ref]
        if task.cancelled():
            return
        self._observer.model_loaded(str(ref), ok=task.exception() is None)
        if task.exception() is None:
            model = self._loaded[ref] = task.result()
            weights = model.manifest.weights_sha256
            log.info("%s loaded on %s, weights %.12s", ref, self.device, weights)

    def _make_room(self) -> None:
        """Drop the least recently used models; requests keep theirs, the newest always stays."""
        while len(self._loaded) > 1 and not self._fits():
            ref, _ = self._loaded.popitem(last=False)
            log.info("%s left memory", ref)

    def _fits(self) -> bool:
        total = sum(model.size_bytes for model in self._loaded.values())
        enough = self._max_bytes is None or total <= self._max_bytes
        return enough and len(self._loaded) <= self._capacity


def _look(store: Store, refs: Iterable[ModelRef]) -> dict[ModelRef, ModelRef | StoreError]:
    """What each reference means in the store now, or why that cannot be told."""
    found: dict[ModelRef, ModelRef | StoreError] = {}
    for ref in refs:
        try:
            found[ref] = store.resolve(ref)
        except StoreError as error:
            found[ref] = error
    return found
