"""Runs models: one thread, a bounded queue counted in images, tiles of one fixed shape.

    mu, logvar = await engine.encode(model, x)
    pixels     = await engine.decode(model, z)

Floating-point sums change with the shape of a batch, so every batch has the same shape: TILE
rows, the last ones zero where a request has fewer. Then image i of an answer depends on the
weights and its own input alone, whatever else is computed and in whatever order.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import QueueFullError, SettingsError, TimedOutError
from model_store import VAE, GaussianMixture, Manifest, ModelRef

Floats = NDArray[np.float32]

TILE = 16
"""Images computed at once; part of what makes answers repeatable."""


@dataclass(frozen=True)
class LoadedModel:
    """One version, ready to run: what it is, the network, and where it lies."""

    manifest: Manifest
    vae: VAE
    device: torch.device
    class_latents: tuple[GaussianMixture, ...] = ()
    """One mixture a class, in the order of `manifest.classes`."""

    @property
    def ref(self) -> ModelRef:
        """`name@version`."""
        return self.manifest.ref

    @property
    def latent(self) -> int:
        """Number of latent dimensions."""
        return self.manifest.spec.latent

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that can be asked for; none where it has none."""
        return (self.manifest.classes or ()) if self.class_latents else ()


def choose_device(wish: str) -> torch.device:
    """auto, cpu or cuda -> a device; raises SettingsError where cuda is asked for and absent."""
    available = torch.cuda.is_available()
    if wish == "cuda" and not available:
        raise SettingsError(
            "device=cuda was asked for, and PyTorch finds no usable GPU; "
            "install a CUDA build and a driver, or set device=auto"
        )
    return torch.device("cuda" if available and wish != "cpu" else "cpu")


class Engine:
    """The one place where models run. Call it from one event loop; close it at the end."""

    def __init__(self, *, queue_images: int, timeout_s: float) -> None:
        self._limit = queue_images
        self._timeout_s = timeout_s
        self._waiting = 0
        self._worker = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="engine", initializer=_configure_torch
        )

    @property
    def waiting_images(self) -> int:
        """Images that are queued or being computed."""
        return self._waiting

    async def encode(self, model: LoadedModel, x: Floats) -> tuple[Floats, Floats]:
        """x (batch, channels, height, width) in [0, 1] -> mu, logvar, both (batch, latent)."""
        mu, logvar = await self._run(model, _encode, x)
        return mu, logvar

    async def decode(self, model: LoadedModel, z: Floats) -> Floats:
        """z (batch, latent) -> mean images (batch, channels, height, width) in [0, 1]."""
        (pixels,) = await self._run(model, _decode, z)
        return pixels

    async def log_likelihood(self, model: LoadedModel, x: Floats, z: Floats) -> Floats:
        """ln p(x | z) of each pair; (batch, ...), (batch, latent) -> (batch,), nats."""
        (log_px,) = await self._run(model, _log_likelihood, x, z)
        return log_px

    async def warm_up(self, model: LoadedModel) -> None:
        """Run every function once, so that the first request is as fast as the next."""
        x = np.zeros((1, *model.manifest.spec.image.shape), np.float32)
        mu, _ = await self.encode(model, x)
        await self.decode(model, mu)
        await self.log_likelihood(model, x, mu)

    def close(self) -> None:
        """Drop what is queued, finish the tile that runs, stop the thread."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    async def _run(
        self, model: LoadedModel, function: "_Function", *inputs: Floats
    ) -> tuple[Floats, ...]:
        """Queue a request and wait; one whose waiter has gone is skipped."""
        n = len(inputs[0])
        if self._waiting + n > self._limit:
            raise QueueFullError(
                f"{self._waiting} images are waiting, and {n} more are too many",
                limit=self._limit,
                remedy="try again after the time in Retry-After, or ask for fewer images",
            )
        gone = threading.Event()
        job = self._worker.submit(_in_tiles, model, function, inputs, gone)
        self._count(job, n)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(job)
        except TimeoutError as error:
            raise TimedOutError(
                f"the model gave no answer within {self._timeout_s:g} s",
                limit=self._timeout_s,
                remedy="try again after the time in Retry-After, or ask for fewer images",
            ) from error
        finally:
            gone.set()

    def _count(self, job: "Future[tuple[Floats, ...]]", n: int) -> None:
        """Count n images as waiting until their job is done or dropped."""
        loop = asyncio.get_running_loop()
        self._waiting += n

        def release() -> None:
            self._waiting -= n

        def done(_: object) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(release)

        job.add_done_callback(done)


# --- in the worker thread ----------------------------------------------------------------------

_Function = Callable[..., tuple[Tensor, ...]]


def _configure_torch() -> None:
    """One thread: the models are small, and the order of sums must not depend on the machine."""
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def _encode(model: LoadedModel, x: Tensor) -> tuple[Tensor, ...]:
    return model.vae.encode(x)


def _decode(model: LoadedModel, z: Tensor) -> tuple[Tensor, ...]:
    return (model.vae.mean_image(model.vae.decode(z)),)


def _log_likelihood(model: LoadedModel, x: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    return (model.vae.log_likelihood(x, model.vae.decode(z)),)


@torch.inference_mode()
def _in_tiles(
    model: LoadedModel, function: _Function, inputs: tuple[Floats, ...], gone: threading.Event
) -> tuple[Floats, ...]:
    """Apply the function to TILE rows at a time; (batch, ...) -> (batch, ...) for each result."""
    tiles = []
    for start in range(0, len(inputs[0]), TILE):
        if gone.is_set():
            raise CancelledError
        rows = [_tile(values[start : start + TILE], model.device) for values in inputs]
        tiles.append([result.cpu().numpy() for result in function(model, *rows)])
    n = len(inputs[0])
    return tuple(np.concatenate(results)[:n] for results in zip(*tiles, strict=True))


def _tile(values: Floats, device: torch.device) -> Tensor:
    """The rows on the device, filled up with zeros to TILE of them."""
    tile = np.zeros((TILE, *values.shape[1:]), np.float32)
    tile[: len(values)] = values
    return torch.from_numpy(tile).to(device)
