"""Run models: a bounded queue of requests, and one batch after the other.

    mu, logvar = await engine.encode(model, x)
    levels     = await engine.decode_levels(model, z)

A batch takes the rows that arrived while the previous batch ran; the engine never waits for more.
Image i of a result depends only on the weights and its own input, not on the rest of the batch: an
exact model gives the same bits in any batch, and batches of a float model have fixed sizes that
give the same bits on one kind of machine (see warm_up). Rows of a cancelled request are not
computed.

Quick functions run on the event loop itself: handing a batch of one millisecond to a thread and
back costs a third of a millisecond, and more under load, when two threads compete for Python's
lock. Slow functions, and all functions on a GPU, run in one thread beside the loop.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.deadlines import DeadlineTimer
from app.errors import DeviceError, NotFiniteError, QueueFullError, ShuttingDownError, TimedOutError
from app.inference.batching import BatchSlice, Job, compute, next_batch
from app.inference.executor import Backend, Function
from app.inference.hooks import EngineHooks, NullHooks
from app.inference.loaded_model import LoadedModel
from app.inference.warm_up import warm_up
from app.typing import Bytes, Floats
from model_store.preprocessing import from_bytes, to_bytes
from model_store.store import StoredModel


class Engine:
    """The only place where models run. Create, call and close it in the thread of one event loop."""

    def __init__(
        self,
        backend: Backend,
        *,
        queue_images: int,
        timeout_s: float,
        batch_requests: int = 64,
        hooks: EngineHooks | None = None,
    ) -> None:
        self.backend = backend
        self._limit = queue_images
        self._batch_requests = batch_requests
        self._timeout_s = timeout_s
        self._deadlines = DeadlineTimer(timeout_s, self._time_out)
        self._hooks = hooks or NullHooks()
        self._waiting = 0
        self._queue: deque[Job] = deque()
        self._awake = False
        self._halted = False
        """True while paused or closed: no further batch is started."""
        self._closed = False
        self._worker = ThreadPoolExecutor(1, "engine")
        self._warmer = ThreadPoolExecutor(1, "warm-up")

    @property
    def waiting_images(self) -> int:
        """Number of images that are queued or being computed."""
        return self._waiting

    async def encode(self, model: LoadedModel, x: Floats) -> tuple[Floats, Floats]:
        """Encode x (batch, channels, height, width) in [0, 1]; mu, logvar (batch, latent)."""
        mu, logvar = await self._run(model, "encode", x)
        return mu, logvar

    async def to_u(self, model: LoadedModel, z: Floats) -> Floats:
        """Map z of q(z | x) to u, the space in which the prior is N(0, I); both (batch, latent)."""
        if not model.has_flow:
            return z
        (u,) = await self._run(model, "to_u", z)
        return u

    async def decode(self, model: LoadedModel, z: Floats) -> Floats:
        """Decode z (batch, latent) to mean images (batch, channels, height, width) in [0, 1]."""
        (images,) = await self._run(model, "decode", z)
        return from_bytes(images) if images.dtype == np.uint8 else images

    async def decode_levels(self, model: LoadedModel, z: Floats) -> Bytes:
        """Decode z (batch, latent) to grey levels 0..255, (batch, channels, height, width)."""
        (images,) = await self._run(model, "decode", z)
        return images if images.dtype == np.uint8 else to_bytes(images)

    async def log_likelihood(self, model: LoadedModel, x: Floats, z: Floats) -> Floats:
        """Return ln p(x | z) of each pair; (batch, ...), (batch, latent) -> (batch,), nats."""
        (log_px,) = await self._run(model, "log_likelihood", x, z)
        return log_px

    async def warm_up(self, stored: StoredModel) -> LoadedModel:
        """Load a model on the device and measure it, while other models continue to serve.

        Raises DeviceError if a GPU cannot take the model, NotReadyError if a library is missing.
        """
        loop = asyncio.get_running_loop()
        try:
            model = await loop.run_in_executor(self._warmer, self._warmed_up, stored)
        except RuntimeError as error:
            device = self.backend.device
            if device == "cpu":
                raise
            reason = str(error).partition("\n")[0]
            raise DeviceError(f"{stored.manifest.ref} cannot run on {device}: {reason}") from error
        if stored.network is not None:
            self._hooks.arithmetic_checked(model.name, ok=not model.mismatches)
        return model

    def pause(self) -> None:
        """Start no further batch. Requests are still queued, and still time out."""
        self._halted = True

    def resume(self) -> None:
        """Start batches again after `pause`; call it from the event loop."""
        self._halted = self._closed
        self._wake(asyncio.get_running_loop())

    def close(self) -> None:
        """Cancel queued requests, finish the running batch, stop the threads."""
        self._closed = self._halted = True
        self._deadlines.close()
        for job in self._queue:
            job.answer.cancel()
        self._queue.clear()
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._warmer.shutdown(wait=True, cancel_futures=True)

    def _warmed_up(self, stored: StoredModel) -> LoadedModel:
        executor = self.backend.load(stored)
        return warm_up(
            stored.manifest,
            executor,
            self.backend.device,
            stored.class_latents,
            golden=stored.golden,
        )

    async def _run(
        self, model: LoadedModel, function: Function, *inputs: Floats
    ) -> tuple[NDArray[Any], ...]:
        """Queue a request and await its result. Rows of cancelled requests are skipped."""
        if self._closed:
            raise ShuttingDownError("the service is being stopped")
        n = len(inputs[0])
        if self._waiting + n > self._limit:
            raise QueueFullError(
                f"{self._waiting} images are waiting, and {n} more are too many", limit=self._limit
            )
        loop = asyncio.get_running_loop()
        job = Job(model, function, inputs, loop.create_future())
        self._queue.append(job)
        self._waiting += n
        self._deadlines.start(job)
        self._wake(loop)
        try:
            outputs = await job.answer
        finally:
            self._waiting -= n
            self._deadlines.cancel(job)
        _check_finite(model, function, outputs)
        self._hooks.request_done(model.name, n, job.queue_s, job.inference_s)
        return outputs

    def _time_out(self, job: Job) -> None:
        if not job.answer.done():
            job.answer.set_exception(
                TimedOutError(
                    f"the model gave no answer within {self._timeout_s:g} s", limit=self._timeout_s
                )
            )

    # --- one batch after the other ---

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Schedule the next batch, after the callbacks of requests that have already arrived."""
        if not self._awake:
            self._awake = True
            loop.call_soon(self._step, loop)

    def _step(self, loop: asyncio.AbstractEventLoop) -> None:
        """Compute one batch, then let the event loop take in the requests that have arrived."""
        slices = None if self._halted else next_batch(self._queue, self._batch_requests)
        if not slices:
            self._awake = False
            return
        if slices[0].job.function in slices[0].job.model.off_loop_functions:
            running = loop.run_in_executor(self._worker, compute, slices)
            running.add_done_callback(lambda done: self._finish(loop, slices, _failure(done)))
            return
        failure: BaseException | None = None
        try:
            compute(slices)
        except Exception as error:  # noqa: BLE001 - raised in the tasks that await the results
            failure = error
        self._finish(loop, slices, failure)

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        slices: Sequence[BatchSlice],
        failure: BaseException | None,
    ) -> None:
        """Resolve the futures of complete requests, and schedule the next batch."""
        for part in slices:
            job = part.job
            if job.answer.done():
                continue
            if self._closed:
                job.answer.cancel()
            elif failure is not None:
                job.answer.set_exception(failure)
            elif part.stop == job.rows:
                job.answer.set_result(job.outputs)
        loop.call_soon(self._step, loop)
        if failure is None and not self._closed:
            images = sum(part.stop - part.start for part in slices)
            self._hooks.batch_done(slices[0].job.model.name, images, slices[0].seconds)


def _check_finite(model: LoadedModel, function: Function, outputs: Sequence[NDArray[Any]]) -> None:
    """Raise NotFiniteError if a result is NaN or infinite, which grey levels (uint8) cannot be."""
    for output in outputs:
        if output.dtype != np.uint8 and not np.isfinite(output).all():
            raise NotFiniteError(
                f"{model.name}: {function} overflows for this input: its result is not finite"
            )


def _failure(done: "asyncio.Future[None]") -> BaseException | None:
    return None if done.cancelled() else done.exception()
