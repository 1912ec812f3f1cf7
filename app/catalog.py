"""The models that are in memory: found by reference, loaded once, the least used leave."""

import asyncio
import logging
from collections import OrderedDict

import torch

from app.engine import Engine, LoadedModel
from app.errors import NotReadyError
from model_store import ModelRef, Store, StoreError

log = logging.getLogger("zserve")


class Catalog:
    """References -> loaded models. Call it from one event loop."""

    def __init__(
        self, store: Store, engine: Engine, device: torch.device, *, default: str, capacity: int
    ) -> None:
        self.store = store
        self.device = device
        self.default = ModelRef.parse(default)
        self._engine = engine
        self._capacity = capacity
        self._models: OrderedDict[ModelRef, asyncio.Task[LoadedModel]] = OrderedDict()

    async def get(self, reference: str | None = None) -> LoadedModel:
        """The model of `name`, `name@version` or `name@alias`, or the default one.

        The reference is resolved anew each time, so a promotion holds from the next request on.
        Raises what `ModelRef.parse`, `Store.resolve` and `Store.load` raise.
        """
        ref = self.default if reference is None else ModelRef.parse(reference)
        return await self._load_once(self.store.resolve(ref))

    async def default_or_reason(self) -> LoadedModel:
        """The default model; raises NotReadyError with the reason where it cannot be served."""
        try:
            return await self.get()
        except StoreError as error:
            raise NotReadyError(
                f"{self.default} cannot be served: {error}",
                remedy="publish it, or choose another with ZSERVE_MODEL and ZSERVE_STORE",
            ) from error

    async def close(self) -> None:
        """Abandon loads under way."""
        tasks = list(self._models.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._models.clear()

    async def _load_once(self, ref: ModelRef) -> LoadedModel:
        """Every caller waits for the same load; a waiter that leaves does not stop it."""
        task = self._models.get(ref)
        if task is None:
            task = self._models[ref] = asyncio.create_task(self._load(ref))
        self._models.move_to_end(ref)
        try:
            return await asyncio.shield(task)
        except Exception:
            if self._models.get(ref) is task:
                del self._models[ref]
            raise

    async def _load(self, ref: ModelRef) -> LoadedModel:
        stored = await asyncio.to_thread(self.store.load, ref)
        model = await self._engine.warm_up(stored, self.device)
        log.info("%s loaded on %s, weights %.12s", ref, self.device, stored.manifest.weights_sha256)
        self._make_room()
        return model

    def _make_room(self) -> None:
        """Drop the least recently used models that are fully loaded; requests keep theirs."""
        loaded = [ref for ref, task in self._models.items() if task.done()]
        for ref in loaded[: max(0, len(self._models) - self._capacity)]:
            del self._models[ref]
            log.info("%s left memory", ref)
