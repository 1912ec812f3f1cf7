"""Compress and decompress images, one file after the other, in a thread beside the event loop.

Each step of a codec needs the results of the step before, so a codec does not use the engine's
batches: it has an exact model of its own. This model runs on the CPU even if a GPU serves the
version, because the bytes are equal.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from app.errors import (
    CannotCompressError,
    MismatchError,
    QueueFullError,
    ShuttingDownError,
    TimedOutError,
)
from app.inference.exact_executor import fastest
from app.inference.hooks import EngineHooks, NullHooks
from app.inference.loaded_model import LoadedModel
from app.typing import Bytes
from model_store.arithmetic.model import ExactModel
from model_store.compression.codec import Codec, Identity
from model_store.compression.pixels import LogisticPixels
from model_store.errors import OtherModelError
from model_store.spec import Manifest, ModelRef
from model_store.store import PIXELS, Store, StoredModel

MAX_JOBS = 8
"""Largest number of files that are queued or being processed."""
MAX_CODECS = 2
"""Largest number of codecs in memory; the least recently used is dropped first."""

T = TypeVar("T")


@dataclass(frozen=True)
class _Done(Generic[T]):
    """A result, and the times (s, by perf_counter) at which its computation began and ended."""

    result: T
    began: float
    ended: float


class Compressor:
    """Compresses and decompresses with the versions of a store. Use it from one event loop.

    Args:
        store: Where versions are loaded from.
        timeout_s: Longest time from a call to its result.
        target_wait_s: Longest estimated time until a file is ready. A file that would be ready later
            is refused, unless no other file is before it.
        threads: CPU threads of ONNX Runtime.
        hooks: Receives the times of each file.
    """

    def __init__(
        self,
        store: Store,
        *,
        timeout_s: float,
        target_wait_s: float = math.inf,
        threads: int = 1,
        hooks: EngineHooks | None = None,
    ) -> None:
        self._store = store
        self._timeout_s = timeout_s
        self._target_wait_s = target_wait_s
        self._threads = threads
        self._hooks = hooks or NullHooks()
        self._codecs: OrderedDict[ModelRef, Codec] = OrderedDict()
        self._jobs: dict[Future[Any], float] = {}
        """Files that are queued or being processed, and the estimated time (s) of each."""
        self._image_s: dict[ModelRef, float] = {}
        """Measured time (s) per image of the last file of each version."""
        self._closed = False
        self._worker = ThreadPoolExecutor(1, "compression")

    async def compress(self, model: LoadedModel, levels: Bytes) -> bytes:
        """Compress grey levels 0..255, (images, channels, height, width), to one file.

        Raises CannotCompressError if the version has no codec, and UnavailableError.
        """
        missing = _missing(model.manifest)
        if missing:
            raise CannotCompressError(f"{model.name} cannot compress images: {missing}")
        return await self._run(model, len(levels), lambda codec: codec.compress(levels))

    async def decompress(
        self, model: LoadedModel, content: bytes, images: int, most_images: int
    ) -> Bytes:
        """Return the grey levels of a file's images, (images, channels, height, width).

        `images` is the number of images in the file's header. Raises CompressedFileError, UnavailableError.
        """
        missing = _missing(model.manifest)
        if missing:
            raise OtherModelError(f"the file was written with another {model.name}: {missing} here")
        return await self._run(model, images, lambda codec: codec.decompress(content, most_images))

    def close(self) -> None:
        """Cancel waiting files, finish the running one, stop the thread."""
        self._closed = True
        self._worker.shutdown(wait=True, cancel_futures=True)

    async def _run(self, model: LoadedModel, images: int, work: Callable[[Codec], T]) -> T:
        """Queue work in the thread and await its result.

        If the caller is cancelled, work that has not begun is skipped. Work that has begun runs to
        its end, and counts as a job until then; its result is dropped.
        """
        if self._closed:
            raise ShuttingDownError("the service is being stopped")
        work_s = images * self._image_s.get(model.ref, 0.0)
        self._admit(work_s)
        queued = time.perf_counter()
        job = self._worker.submit(self._work, model.ref, work)
        self._jobs[job] = work_s
        try:
            # Not wait_for, which on Python 3.11 drops a cancellation that comes with the result.
            async with asyncio.timeout(self._timeout_s):
                done = await asyncio.wrap_future(job)
        except TimeoutError as error:
            raise TimedOutError(
                f"the file was not ready within {self._timeout_s:g} s", limit=self._timeout_s
            ) from error
        seconds = done.ended - done.began
        self._image_s[model.ref] = seconds / max(1, images)
        self._hooks.request_done(model.name, images, done.began - queued, seconds)
        return done.result

    def _admit(self, work_s: float) -> None:
        """Raise QueueFullError if a file would be ready too late because others are before it."""
        self._jobs = {job: seconds for job, seconds in self._jobs.items() if not job.done()}
        wait_s = sum(self._jobs.values())
        if len(self._jobs) >= MAX_JOBS:
            raise QueueFullError(
                f"{len(self._jobs)} files are being compressed or decompressed",
                limit=MAX_JOBS,
                retry_after_s=wait_s,
            )
        if wait_s > max(self._target_wait_s - work_s, 0.0):
            raise QueueFullError(
                f"the file would wait about {wait_s:.2g} s for others, and be ready after "
                f"{self._target_wait_s:g} s",
                limit=self._target_wait_s,
                retry_after_s=wait_s,
            )

    # --- in the thread ---

    def _work(self, ref: ModelRef, work: Callable[[Codec], T]) -> _Done[T]:
        began = time.perf_counter()
        result = work(self._codec(ref))
        return _Done(result, began, time.perf_counter())

    def _codec(self, ref: ModelRef) -> Codec:
        if ref not in self._codecs:
            self._codecs[ref] = _make_codec(self._store.load(ref), self._threads)
        self._codecs.move_to_end(ref)
        while len(self._codecs) > MAX_CODECS:
            self._codecs.popitem(last=False)
        return self._codecs[ref]


def _missing(manifest: Manifest) -> str | None:
    """Return what a version lacks for compression, or None."""
    if manifest.arithmetic == "float":
        return "it is a float version"
    if manifest.spec.likelihood == "bernoulli" and PIXELS not in manifest.files:
        return "it has no pixel table"
    return None


def _make_codec(stored: StoredModel, threads: int) -> Codec:
    """Return the codec of a version; raises MismatchError if this machine computes other bits."""
    network, ref = stored.network, stored.manifest.ref
    assert network is not None  # noqa: S101 - checked by `_missing`
    model = ExactModel(network, stored.spec, partial(fastest, threads=threads))
    if model.hashes() != stored.golden:
        raise MismatchError(
            f"this machine's results for {ref} differ from those published for exact-1: "
            "no other machine could read its files"
        )
    if network.log_scale is not None:
        return Codec(model, LogisticPixels(network.log_scale), _identity(stored))
    assert stored.pixels is not None  # noqa: S101 - checked by `_missing`
    return Codec(model, stored.pixels, _identity(stored))


def _identity(stored: StoredModel) -> Identity:
    return Identity(str(stored.manifest.ref), stored.manifest.weights_sha256)
