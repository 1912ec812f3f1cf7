"""Run models: a fair queue of requests, bounded by their wait, and one batch after the other.

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
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from app.deadlines import DeadlineTimer
from app.errors import DeviceError, QueueFullError, ShuttingDownError, TimedOutError
from app.inference.admission import TICKET, Admission, Ticket, wait_s
from app.inference.batching import BatchSlice, Job, compute
from app.inference.executor import Backend, Function
from app.inference.fair_queue import FairQueue
from app.inference.functions import ModelFunctions, check_finite
from app.inference.hooks import EngineHooks, NullHooks
from app.inference.loaded_model import LoadedModel
from app.inference.pace import UNMEASURED_S, Slowdown
from app.inference.warm_up import load_model
from app.typing import Floats
from model_store.store import StoredModel


class Engine(ModelFunctions):
    """The only place where models run. Create, call and close it in the thread of one event loop."""

    def __init__(
        self,
        backend: Backend,
        *,
        timeout_s: float,
        queue_bytes: int = 2**28,
        target_wait_s: float = 2.0,
        batch_requests: int = 64,
        hooks: EngineHooks | None = None,
    ) -> None:
        self.backend = backend
        self._queue_bytes = queue_bytes
        self._batch_requests = batch_requests
        self._timeout_s = timeout_s
        self._deadlines = DeadlineTimer(timeout_s, self._time_out)
        self._hooks = hooks or NullHooks()
        self._waiting = 0
        self._waiting_bytes = 0
        self._shown_waiting = 0
        self._queue = FairQueue()
        self._admission = Admission(target_wait_s)
        self._slowdown = Slowdown()
        self._announced_s: dict[str, float] = {}
        """Computing time (s) of the requests of each client that were let through in this pass of the
        event loop, and are not queued yet."""
        self._running_until = 0.0
        """Time at which the running batch will probably end, by perf_counter."""
        self._last_end: float | None = None
        """Time at which the last batch ended, or None if the engine was idle since."""
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

    @property
    def overloaded(self) -> bool:
        """True if requests had to be refused lately, because their answers would take too long."""
        return self._admission.overloaded

    def refusal(
        self,
        client: str,
        model: LoadedModel,
        function: Function,
        rows: int,
        *,
        announce: bool = False,
    ) -> QueueFullError | None:
        """Return the error that a request would be refused with now, or None.

        A refusal is counted, so ask only for a request that is then answered with it. `announce` says
        that the request is queued in the next pass of the event loop if it is not refused; requests of
        the same client that arrive in this pass then count it as work that waits.
        """
        row_s = model.pace.seconds_per_row(function)
        error = self._refusal(client, model, rows, row_s, time.perf_counter())
        if announce and error is None:
            if not self._announced_s:
                asyncio.get_running_loop().call_soon(self._announced_s.clear)
            self._announced_s[client] = self._announced_s.get(client, 0.0) + rows * row_s
        return error

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
        for job in self._queue.clear():
            job.answer.cancel()
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._warmer.shutdown(wait=True, cancel_futures=True)

    def _warmed_up(self, stored: StoredModel) -> LoadedModel:
        return load_model(self.backend, stored)

    async def _run(
        self, model: LoadedModel, function: Function, *inputs: Floats
    ) -> tuple[NDArray[Any], ...]:
        """Queue a request and await its result. Rows of cancelled requests are skipped."""
        if self._closed:
            raise ShuttingDownError("the service is being stopped")
        n = len(inputs[0])
        loop = asyncio.get_running_loop()
        ticket = TICKET.get()
        row_s = model.pace.seconds_per_row(function)
        client = "" if ticket is None else ticket.client
        n_bytes = n * model.row_bytes
        if self._waiting and self._waiting_bytes + n_bytes > self._queue_bytes:
            raise self._full(client, model, n, row_s)
        job = Job(model, function, inputs, n, loop.create_future(), client, row_s)
        if self._waiting or self._admission.overloaded:
            self._admit(job, ticket)
        if ticket is not None:
            ticket.admitted = True
        self._queue.add(job)
        self._waiting += n
        self._waiting_bytes += n_bytes
        self._deadlines.start(job)
        self._wake(loop)
        try:
            outputs = await job.answer
        except BaseException:
            self._queue.withdraw(job)
            raise
        finally:
            self._waiting -= n
            self._waiting_bytes -= n_bytes
            self._deadlines.cancel(job)
            if not self._awake:
                self._show_waiting()
        check_finite(model, function, outputs)
        self._hooks.request_done(model.name, n, job.queue_s, job.inference_s)
        return outputs

    def _admit(self, job: Job, ticket: Ticket | None) -> None:
        """Raise QueueFullError if a job would wait too long, unless its request was admitted."""
        now = job.queued_at
        if ticket is None or not ticket.admitted:
            refusal = self._refusal(job.client, job.model, job.rows, job.row_s, now)
            if refusal is not None:
                raise refusal
        work_s = job.rows * job.row_s
        self._admission.admitted(job.client, work_s * self._slowdown.factor, now)

    def _refusal(
        self, client: str, model: LoadedModel, rows: int, row_s: float, now: float
    ) -> QueueFullError | None:
        """Return the error for a request that would wait too long, and count it; else None."""
        work_s = rows * row_s * self._slowdown.factor
        expected_s = self._expected_wait_s(client, model, rows, row_s, now)
        if self._admission.admits(client, work_s, expected_s, model.max_batch * row_s, now):
            return None
        self._admission.refused(expected_s, now)
        target_s = self._admission.target_s
        late = expected_s + work_s > target_s
        return QueueFullError(
            f"{rows} more {'image' if rows == 1 else 'images'} would wait about {expected_s:.2g} s for others, "
            + (
                f"and be complete after {target_s:g} s" if late else "and the service is overloaded"
            ),
            limit=target_s,
            retry_after_s=expected_s,
        )

    def _full(self, client: str, model: LoadedModel, rows: int, row_s: float) -> QueueFullError:
        """Return the error for a request whose images do not fit into the queue, and count it."""
        now = time.perf_counter()
        expected_s = self._expected_wait_s(client, model, rows, row_s, now)
        room = (self._queue_bytes - self._waiting_bytes) / model.row_bytes
        room_s = room * row_s * self._slowdown.factor
        self._admission.refused(expected_s, now, room_s=room_s)
        return QueueFullError(
            f"{self._waiting} images are waiting, and {rows} more do not fit into the "
            f"{self._queue_bytes:,} bytes of the queue",
            limit=self._queue_bytes,
            retry_after_s=expected_s,
        )

    def _expected_wait_s(
        self, client: str, model: LoadedModel, rows: int, row_s: float, now: float
    ) -> float:
        """Return an estimate of the time (s) for which a request that arrives now would wait."""
        backlog = self._queue.backlog(client)
        waiting_s = wait_s(backlog, rows * row_s, model.max_batch * row_s)
        expected_s = (waiting_s + self._announced_s.get(client, 0.0)) * self._slowdown.factor
        return expected_s + max(0.0, self._running_until - now)

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
        if self._waiting != self._shown_waiting:
            self._show_waiting()
        slices = None if self._halted else self._queue.next_batch(self._batch_requests)
        if not slices:
            self._awake = False
            self._last_end = None
            return
        job = slices[0].job
        if job.function in job.model.off_loop_functions:
            seconds = sum((part.stop - part.start) * part.job.row_s for part in slices)
            self._running_until = time.perf_counter() + seconds * self._slowdown.factor
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
        self._running_until = 0.0
        if failure is None and not self._closed:
            images = sum([part.stop - part.start for part in slices])
            self._measure(slices[0], images)
            self._hooks.batch_done(slices[0].job.model.name, images, slices[0].seconds)

    def _measure(self, part: BatchSlice, images: int) -> None:
        """Record the time of a batch of `images`, of which `part` is one slice, for the estimates."""
        waiting = bool(self._queue.clients)
        job, model = part.job, part.job.model
        if not waiting and self._last_end is None and job.row_s > UNMEASURED_S:
            return  # the engine was idle before and is idle now: this batch tells little
        size = images if model.exact else model.batch_size_for(images)
        model.pace.record(job.function, size, model.max_batch, part.seconds)
        end = time.perf_counter()
        if self._last_end is not None:
            self._slowdown.record(end - self._last_end, part.seconds)
        self._last_end = end if waiting else None

    def _show_waiting(self) -> None:
        """Pass the number of waiting images to the hooks if it has changed."""
        if self._waiting != self._shown_waiting:
            self._shown_waiting = self._waiting
            self._hooks.waiting(self._waiting)


def _failure(done: "asyncio.Future[None]") -> BaseException | None:
    return None if done.cancelled() else done.exception()
