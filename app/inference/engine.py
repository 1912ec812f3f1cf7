"""Runs models: a bounded queue counted in images, tiles of fixed shapes, no waiting.

    mu, logvar = await engine.encode(model, x)
    pixels     = await engine.decode(model, z)

Floating-point sums change with the shape of a batch, so every batch is a tile of so many rows, the
last ones zero where there are fewer. The position within a tile changes nothing, which is checked
when a model is loaded, so rows of several requests share one. A smaller tile is taken for few rows
and, where a tile is brief, a larger one for many, if it was found to give the same bits. Then image
i of an answer depends on the weights, its own input and the kind of device alone, whatever else is
computed and in whatever order.

A tile takes what has arrived while the last one ran. Requests take turns, a tile at a time, so a
small one never waits for all of a large one. A request whose waiter has gone leaves the queue.

What is quick runs on the event loop itself: handing a tile of a millisecond to a thread and back
costs a third of a millisecond, and more under load, where the two threads fight for Python's
lock (DECISIONS.md). What is slow or on a GPU runs in one thread beside it; on a GPU each function
is a graph, captured for the one shape when the model is loaded (app/inference/cuda_graphs.py).
"""

import asyncio
import logging
import time
import timeit
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.deadlines import Patience
from app.errors import NotReadyError, QueueFullError, SettingsError, TimedOutError
from app.inference import cuda_graphs
from app.inference.hooks import Observer, Silence
from model_store.class_latents import NO_CLASSES, ClassLatents
from model_store.spec import Manifest, ModelRef
from model_store.store import StoredModel
from model_store.vae import VAE, build_vae, compile_for_inference

log = logging.getLogger("zserve")

Floats = NDArray[np.float32]

TILE = 16
"""Rows of the tile that says what the bits are, on a CPU; part of what makes answers repeatable."""

_TILES = {"cpu": TILE, "cuda": 256}
"""The same for each kind of device: a GPU computes many rows in the time of few."""

_TRIED_TILES = (2, 4, 8, 32, 64)
"""Others; one row alone takes other paths through the libraries, and has other bits."""

_BRIEF_S = 0.002
"""A larger tile may take so long: then Python around it weighs much, and who waits hardly waits."""

_ON_THE_LOOP_S = 0.005
"""What takes longer for a tile runs in a thread, so that the event loop stays awake."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """One version, ready to run: what it is, the network, and where it lies."""

    manifest: Manifest
    vae: VAE
    device: torch.device
    class_latents: ClassLatents = NO_CLASSES
    """One mixture a class, in the order of `manifest.classes`."""
    tile: int = TILE
    """Rows of the tile that says what the bits are."""
    equal_tiles: tuple[int, ...] = ()
    """Rows of others that give the same bits, ascending."""
    alone: bool = False
    """Whether the place within a tile changes the last bits, so that only its first row is used."""
    in_thread: "frozenset[_Function]" = frozenset()
    """Its functions that run beside the event loop rather than on it."""
    captured: "Mapping[_Function, cuda_graphs.StaticTile]" = field(default_factory=dict)
    """Its functions as graphs, on a GPU."""

    @cached_property
    def ref(self) -> ModelRef:
        """`name@version`."""
        return self.manifest.ref

    @cached_property
    def name(self) -> str:
        """The same as text."""
        return str(self.ref)

    @property
    def size_bytes(self) -> int:
        """Memory of the weights, as far as the manifest tells."""
        files = self.manifest.files.items()
        return sum(file.size_bytes for name, file in files if name.endswith(".safetensors"))

    @property
    def latent(self) -> int:
        """Number of latent dimensions."""
        return self.manifest.spec.latent

    @cached_property
    def most_rows(self) -> int:
        """Rows of requests that can be computed at once."""
        return 1 if self.alone else max((self.tile, *self.equal_tiles))

    def tile_for(self, rows: int) -> int:
        """Rows of the smallest tile that has room for so many."""
        return min(size for size in (self.tile, *self.equal_tiles) if size >= rows)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that can be asked for; none where it has none."""
        return (self.manifest.classes or ()) if self.class_latents else ()


def choose_device(wish: str) -> torch.device:
    """auto, cpu or cuda -> a device; raises SettingsError where cuda is asked for and unusable."""
    if wish == "cpu":
        return torch.device("cpu")
    reason = cuda_graphs.fault()
    if reason is None:
        return cuda_graphs.DEVICE
    if wish == "cuda":
        raise SettingsError(
            f"device=cuda was asked for, and no GPU can be used: {reason}; "
            "install a CUDA build of torch and a driver, or set device=auto"
        )
    return torch.device("cpu")


class Engine:
    """The one place where models run. Make it, call it and close it in one event loop's thread."""

    def __init__(
        self,
        *,
        queue_images: int,
        timeout_s: float,
        threads: int = 1,
        batch_requests: int = max(_TRIED_TILES),
        observer: Observer | None = None,
    ) -> None:
        self._limit = queue_images
        self._batch_requests = batch_requests
        self._timeout_s = timeout_s
        self._patience = Patience(timeout_s, self._timed_out)
        self._observer = observer or Silence()
        self._waiting = 0
        self._queue: deque[_Job] = deque()
        self._awake = False
        self._closed = False
        configure = partial(_configure_torch, threads)
        configure()
        self._worker = ThreadPoolExecutor(1, "engine", configure)
        self._warmer = ThreadPoolExecutor(1, "warm-up", configure)

    @property
    def waiting_images(self) -> int:
        """Images that are queued or being computed."""
        return self._waiting

    async def encode(self, model: LoadedModel, x: Floats) -> tuple[Floats, Floats]:
        """x (batch, channels, height, width) in [0, 1] -> mu, logvar, both (batch, latent)."""
        mu, logvar = await self._run(model, _encode, x)
        return mu, logvar

    async def to_u(self, model: LoadedModel, z: Floats) -> Floats:
        """Where z of q(z | x) lies in the space of N(0, I); both (batch, latent)."""
        if model.vae.flow is None:
            return z
        (u,) = await self._run(model, _to_u, z)
        return u

    async def decode(self, model: LoadedModel, z: Floats) -> Floats:
        """z (batch, latent) -> mean images (batch, channels, height, width) in [0, 1]."""
        (pixels,) = await self._run(model, _decode, z)
        return pixels

    async def log_likelihood(self, model: LoadedModel, x: Floats, z: Floats) -> Floats:
        """ln p(x | z) of each pair; (batch, ...), (batch, latent) -> (batch,), nats."""
        (log_px,) = await self._run(model, _log_likelihood, x, z)
        return log_px

    async def warm_up(self, stored: StoredModel, device: torch.device) -> LoadedModel:
        """Run every function, beside what is being served, and decide where each runs.

        Raises NotReadyError where a GPU cannot take it.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._warmer, _warmed_up, stored, device)
        except RuntimeError as error:
            if device.type == "cpu":
                raise
            raise NotReadyError(
                f"{stored.manifest.ref} cannot run on {device}: {str(error).partition(chr(10))[0]}",
                remedy="free memory of the GPU, or set ZSERVE_DEVICE=cpu",
            ) from error

    def close(self) -> None:
        """Drop what is queued, finish the tile that runs, stop the threads."""
        self._closed = True
        self._patience.close()
        for job in self._queue:
            job.answer.cancel()
        self._queue.clear()
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._warmer.shutdown(wait=True, cancel_futures=True)

    async def _run(
        self, model: LoadedModel, function: "_Function", *inputs: Floats
    ) -> tuple[Floats, ...]:
        """Queue a request and wait; the rows of a waiter that has gone are not computed."""
        if self._closed:
            raise NotReadyError("the service is being stopped", remedy="ask again in a moment")
        n = len(inputs[0])
        if self._waiting + n > self._limit:
            raise QueueFullError(
                f"{self._waiting} images are waiting, and {n} more are too many",
                limit=self._limit,
                remedy="try again after the time in Retry-After, or ask for fewer images",
            )
        loop = asyncio.get_running_loop()
        job = _Job(model, function, inputs, loop.create_future())
        self._queue.append(job)
        self._waiting += n
        self._patience.begin(job)
        self._wake(loop)
        try:
            outputs = await job.answer
        finally:
            self._waiting -= n
            self._patience.end(job)
        self._observer.request_done(model.name, n, job.queue_s, job.inference_s)
        return outputs

    def _timed_out(self, job: "_Job") -> None:
        """Tell the waiter of a request that took too long."""
        if not job.answer.done():
            job.answer.set_exception(
                TimedOutError(
                    f"the model gave no answer within {self._timeout_s:g} s",
                    limit=self._timeout_s,
                    remedy="try again after the time in Retry-After, or ask for fewer images",
                )
            )

    # --- one tile after the other ---

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to the queue after whatever else has already arrived."""
        if not self._awake:
            self._awake = True
            loop.call_soon(self._step, loop)

    def _step(self, loop: asyncio.AbstractEventLoop) -> None:
        """Compute one tile, then let the event loop take in what has arrived meanwhile."""
        shares = _next_shares(self._queue, self._batch_requests)
        if not shares or self._closed:
            self._awake = False
            return
        if shares[0].job.function in shares[0].job.model.in_thread:
            running = loop.run_in_executor(self._worker, _compute, shares)
            running.add_done_callback(lambda done: self._done(loop, shares, _failure(done)))
            return
        failure: BaseException | None = None
        try:
            _compute(shares)
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            failure = error
        self._done(loop, shares, failure)

    def _done(
        self,
        loop: asyncio.AbstractEventLoop,
        shares: "Sequence[_Share]",
        failure: BaseException | None,
    ) -> None:
        """Answer the requests that are complete, and go on."""
        for share in shares:
            job = share.job
            if job.answer.done():
                continue
            if self._closed:
                job.answer.cancel()
            elif failure is not None:
                job.answer.set_exception(failure)
            elif share.stop == job.n:
                job.answer.set_result(job.outputs)
        loop.call_soon(self._step, loop)
        if failure is None and not self._closed:
            images = sum(share.stop - share.start for share in shares)
            self._observer.tile_done(shares[0].job.model.name, images, shares[0].seconds)


# --- requests and their shares of a tile -------------------------------------------------------

_Function = Callable[..., tuple[Tensor, ...]]


@dataclass(eq=False, slots=True)
class _Job:
    """A request: rows to compute, how many have been handed out, and what came of them."""

    model: LoadedModel
    function: _Function
    inputs: tuple[Floats, ...]
    answer: "asyncio.Future[tuple[Floats, ...]]"
    queued_at: float = field(default_factory=time.perf_counter)
    handed_out: int = 0
    outputs: tuple[Floats, ...] = ()
    queue_s: float = 0.0
    inference_s: float = 0.0

    @property
    def n(self) -> int:
        """Rows in all."""
        return len(self.inputs[0])


@dataclass(eq=False, slots=True)
class _Share:
    """Rows start..stop of a request, in one tile."""

    job: _Job
    start: int
    stop: int
    seconds: float = 0.0


def _next_shares(queue: "deque[_Job]", most_requests: int) -> list[_Share]:
    """Rows for one tile: of the first request, and of others that fit beside them.

    What is left of the first goes behind the others; requests without a waiter leave.
    """
    shares: list[_Share] = []
    room = 1
    passed: list[_Job] = []
    first: _Job | None = None
    while queue and room and len(shares) < most_requests:
        job = queue.popleft()
        if job.answer.done():
            continue
        if first is None:
            first = job
            room = job.model.most_rows
        elif job.model is not first.model or job.function is not first.function:
            passed.append(job)
            continue
        start = job.handed_out
        stop = min(job.n, start + room)
        shares.append(_Share(job, start, stop))
        job.handed_out = stop
        room -= stop - start
        if stop < job.n:
            if job is first:
                queue.append(job)
            else:
                passed.append(job)
    queue.extendleft(reversed(passed))
    return shares


def _failure(done: "asyncio.Future[None]") -> BaseException | None:
    return None if done.cancelled() else done.exception()


# --- computing ---------------------------------------------------------------------------------


def _configure_torch(threads: int) -> None:
    """Few threads: the models are small, and the order of sums must not depend on the machine."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def _encode(model: LoadedModel, x: Tensor) -> tuple[Tensor, ...]:
    return model.vae.encode(x)


def _to_u(model: LoadedModel, z: Tensor) -> tuple[Tensor, ...]:
    return (model.vae.to_u(z),)


def _decode(model: LoadedModel, z: Tensor) -> tuple[Tensor, ...]:
    return (model.vae.mean_image(model.vae.decode(z)),)


def _log_likelihood(model: LoadedModel, x: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    return (model.vae.log_likelihood(x, model.vae.decode(z)),)


def _warmed_up(stored: StoredModel, device: torch.device) -> LoadedModel:
    """The model on its device, every function run: slow ones and those on a GPU get the thread."""
    tile = _TILES[device.type]
    vae = compile_for_inference(build_vae(stored.spec, stored.weights), device, tile)
    model = LoadedModel(stored.manifest, vae, device, stored.class_latents, tile=tile)
    if device.type == "cuda":
        model = replace(model, captured=_captured(model))
    seconds = _seconds_of_a_tile(model)
    slow = {f for f, of_a_tile in seconds.items() if model.captured or of_a_tile > _ON_THE_LOOP_S}
    model = replace(model, in_thread=frozenset(slow))
    if not _place_is_nothing(model):
        return replace(model, alone=True)
    if model.captured:
        return model
    most_rows = max(tile, _BRIEF_S / max(seconds.values()) * tile)
    tried = [rows for rows in _TRIED_TILES if rows <= most_rows]
    return replace(model, equal_tiles=_equal_tiles(model, tried))


def _seconds_of_a_tile(model: LoadedModel) -> dict[_Function, float]:
    """Of each function, the fastest of some attempts."""
    return {
        function: min(timeit.repeat(partial(_tile_outputs, model, function, inputs), number=1))
        for function, inputs in _examples(model, model.tile)
    }


def _shapes(model: LoadedModel, rows: int) -> dict[_Function, list[tuple[int, ...]]]:
    """What runs, and the shapes of so many rows of its inputs."""
    x, z = (rows, *model.manifest.spec.image.shape), (rows, model.latent)
    shapes: dict[_Function, list[tuple[int, ...]]] = {
        _encode: [x],
        _decode: [z],
        _log_likelihood: [x, z],
    }
    return shapes if model.vae.flow is None else shapes | {_to_u: [z]}


def _captured(model: LoadedModel) -> dict[_Function, cuda_graphs.StaticTile]:
    """Every function as a graph for its shapes."""
    return {
        function: cuda_graphs.capture(partial(function, model), shapes)
        for function, shapes in _shapes(model, model.tile).items()
    }


def _place_is_nothing(model: LoadedModel) -> bool:
    """Whether rows come out the same to the last bit wherever they lie in a tile.

    Libraries for products take other paths for the edges of very small ones, of less than a dozen
    odd rows and columns; then only the first row of each tile is used.
    """
    for function, inputs in _examples(model, model.tile):
        found = _tile_outputs(model, function, inputs)
        turned = _tile_outputs(model, function, tuple(rows[::-1].copy() for rows in inputs))
        pairs = zip(found, turned, strict=True)
        if not all(np.array_equal(rows[::-1], others) for rows, others in pairs):
            log.warning("%s is so small that its images are computed one by one", model.ref)
            return False
    return True


def _equal_tiles(model: LoadedModel, tried: Sequence[int]) -> tuple[int, ...]:
    """Which of these give the bits of the model's tile, for every row of every function."""
    equal = tuple(rows for rows in tried if rows != model.tile)
    for function, inputs in _examples(model, max((model.tile, *tried))):
        expected = _in_tiles(model, function, inputs, model.tile)
        equal = tuple(
            rows
            for rows in equal
            if all(map(np.array_equal, _in_tiles(model, function, inputs, rows), expected))
        )
    return equal


def _in_tiles(
    model: LoadedModel, function: _Function, inputs: tuple[Floats, ...], size: int
) -> list[Floats]:
    """The function of many rows, so many at once; their number is a multiple of that."""
    tiles = (tuple(rows[i : i + size] for rows in inputs) for i in range(0, len(inputs[0]), size))
    parts = [_tile_outputs(model, function, tile) for tile in tiles]
    return [np.concatenate(rows) for rows in zip(*parts, strict=True)]


def _examples(model: LoadedModel, rows: int) -> Iterator[tuple[_Function, tuple[Floats, ...]]]:
    """Every function with so many rows of numbers in [0, 1), as images and latents alike."""
    generator = np.random.default_rng(0)
    for function, shapes in _shapes(model, rows).items():
        yield function, tuple(generator.random(shape, np.float32) for shape in shapes)


def _compute(shares: Sequence[_Share]) -> None:
    """Fill a tile with the shares, compute it, and give each request its rows."""
    first = shares[0].job
    begin = time.perf_counter()
    size = first.model.tile_for(sum(share.stop - share.start for share in shares))
    tile = tuple(
        _filled([share.job.inputs[i][share.start : share.stop] for share in shares], size)
        for i in range(len(first.inputs))
    )
    results = _tile_outputs(first.model, first.function, tile)
    row = 0
    for share in shares:
        _keep(share, results, row)
        row += share.stop - share.start
    seconds = time.perf_counter() - begin
    for share in shares:
        share.seconds = seconds
        if share.start == 0:
            share.job.queue_s = begin - share.job.queued_at
        share.job.inference_s += seconds


def _filled(parts: Sequence[Floats], rows: int) -> Floats:
    """The parts one below the other, and zeros below them; (rows, ...)."""
    tile = np.zeros((rows, *parts[0].shape[1:]), np.float32)
    row = 0
    for part in parts:
        tile[row : row + len(part)] = part
        row += len(part)
    return tile


@torch.inference_mode()
def _tile_outputs(
    model: LoadedModel, function: _Function, tile: tuple[Floats, ...]
) -> list[Floats]:
    """The function of one full tile; new arrays."""
    captured = model.captured.get(function)
    if captured is not None:
        return captured(*tile)
    inputs = [torch.from_numpy(values).to(model.device) for values in tile]
    return [result.cpu().numpy() for result in function(model, *inputs)]


def _keep(share: _Share, results: Sequence[Floats], row: int) -> None:
    """Give the request its rows of a tile, from this one on.

    All of a request that fills much of the tile stay where they are: the tile lives as long as they.
    """
    job, rows = share.job, share.stop - share.start
    parts = [result[row : row + rows] for result in results]
    if rows == job.n and rows * 4 >= len(results[0]):
        job.outputs = tuple(parts)
        return
    if not job.outputs:
        job.outputs = tuple(np.empty((job.n, *part.shape[1:]), part.dtype) for part in parts)
    for output, part in zip(job.outputs, parts, strict=True):
        output[share.start : share.stop] = part
