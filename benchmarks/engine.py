"""Images per second of the engine, without HTTP, against the bare network; in one run.

    python -m benchmarks.engine [--device auto|cpu|cuda] [--model mnist] [--rounds 5]

The bare network decodes latents that lie on the device already, in batches of each size of a
grid, and its images stay there; the best size is what the engine is compared with. The engine
takes latents from and gives images to the memory of the host, as the service does, for requests
of which many wait at once. All take turns, and the medians of the rounds are printed. On a CPU,
seconds are those that this process had: both sides compute on one core, and what else the machine
does falls on neither.
"""

import argparse
import asyncio
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from app.inference.engine import Engine, LoadedModel, choose_device
from benchmarks.serving.statistics import ratio
from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store

BATCHES = {"cpu": (8, 16, 32, 64, 128, 256), "cuda": (16, 64, 256, 1024, 4096, 16384)}
REQUEST_SIZES = (1, 16, 256)
WAITING_REQUESTS = 64
"""So many at once."""


def main() -> None:
    """Measure and print."""
    options = _parser().parse_args()
    device = choose_device(options.device)
    torch.set_num_threads(1)
    asyncio.run(_compare(options.model, device, options.rounds, options.seconds))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--model", default="mnist", help="of those that ship: mnist, lab, ...")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    return parser


async def _compare(name: str, device: torch.device, rounds: int, seconds: float) -> None:
    engine = Engine(queue_images=WAITING_REQUESTS * max(REQUEST_SIZES), timeout_s=600)
    store = Store(SHIPPED)
    model = await engine.warm_up(store.load(store.resolve(ModelRef.parse(name))), device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    bare: dict[int, list[float]] = {size: [] for size in BATCHES[device.type]}
    served: dict[int, list[float]] = {size: [] for size in REQUEST_SIZES}
    try:
        for size in bare:
            _rate(_bare_call(model, size), size, 0.1, clock)  # kernels are chosen, buffers taken
        for _ in range(rounds):
            for size, rates in bare.items():
                rates.append(_rate(_bare_call(model, size), size, seconds, clock))
            for size, rates in served.items():
                rates.append(await _served_rate(engine, model, size, seconds, clock))
    finally:
        engine.close()
    _print(model.name, device, bare, served)


def _print(
    name: str, device: torch.device, bare: dict[int, list[float]], served: dict[int, list[float]]
) -> None:
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(f"{name} on {where}, torch {torch.__version__}, one thread\n")
    print("| what | images/s | of the best bare network |\n| --- | --- | --- |")
    best = max(bare, key=lambda size: statistics.median(bare[size]))
    for what, table in (("bare network, batches of", bare), ("engine, requests of", served)):
        for size, rates in table.items():
            share = ratio(rates, bare[best])
            print(
                f"| {what} {size} | {statistics.median(rates):,.0f} "
                f"| {share.median:.2f} [{share.low:.2f}, {share.high:.2f}] |"
            )


def _bare_call(model: LoadedModel, size: int) -> Callable[[], object]:
    """The network and nothing else, on latents that are where it is."""
    z = torch.randn(size, model.latent, device=model.device)

    @torch.inference_mode()
    def call() -> None:
        model.vae.mean_image(model.vae.decode(z))
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)

    return call


def _rate(
    call: Callable[[], object], images: int, seconds: float, clock: Callable[[], float]
) -> float:
    """Images a second of calls of so many."""
    done, start = 0, clock()
    while (elapsed := clock() - start) < seconds:
        call()
        done += images
    return done / elapsed


async def _served_rate(
    engine: Engine, model: LoadedModel, size: int, seconds: float, clock: Callable[[], float]
) -> float:
    """Images a second of the engine while WAITING_REQUESTS wait, of `size` images each."""
    z = np.random.default_rng(0).standard_normal((size, model.latent), np.float32)
    done, start = 0, clock()

    async def ask() -> None:
        nonlocal done
        while clock() - start < seconds:
            await engine.decode(model, z)
            done += size

    await asyncio.gather(*(ask() for _ in range(WAITING_REQUESTS)))
    return done / (clock() - start)


if __name__ == "__main__":
    main()
