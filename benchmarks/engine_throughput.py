"""Compare images per second of the engine, without HTTP, with the network alone, in one run.

    python -m benchmarks.engine_throughput [--device auto|cpu|cuda] [--model mnist] [--rounds 5]
                                           [--record]

The network alone decodes latents that are already on the device, in batches of each size of a
grid, and leaves the images there; the engine is compared with the best batch size. The engine
takes latents from host memory and returns images to host memory, as the service does, while many
requests are pending. Both take turns, and the medians of the rounds are printed. On a CPU, time is
the CPU time of this process: both sides compute on one core, so other work on the machine affects
neither.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from app.inference.backend import ChosenBackend
from app.inference.devices import Device, choose_device
from app.inference.engine import Engine
from app.inference.loaded_model import LoadedModel
from app.inference.torch_executor import TorchExecutor
from benchmarks.common.machine import Machine, read_machine
from benchmarks.common.recording import add_record_option, record, table
from benchmarks.common.statistics import ratio
from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store

BATCHES = {"cpu": (8, 16, 32, 64, 128, 256), "cuda": (16, 64, 256, 1024, 4096, 16384)}
"""Device type -> batch sizes of the network alone."""
REQUEST_SIZES = (1, 16, 256)
PENDING_REQUESTS = 64

Rates = dict[int, list[float]]
"""Batch or request size -> images per second in each round."""


def main() -> None:
    """Measure and print."""
    options = _parser().parse_args()
    device = choose_device(options.device)
    gpu = torch.cuda.get_device_name(device) if device == "cuda" else None
    machine = read_machine(gpu)
    torch.set_num_threads(1)
    network, engine = asyncio.run(_measure(options.model, device, options.rounds, options.seconds))
    text = f"{options.model}, one CPU thread, {options.rounds} rounds\n\n"
    text += _rate_table(network, engine)
    print(f"{machine.summary()}\n{text}")
    if options.record:
        _record(options.model, machine, text, network, engine)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--model", default="mnist", help="a shipped model: mnist, lab, ...")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="duration of a measurement")
    add_record_option(parser)
    return parser


async def _measure(name: str, device: Device, rounds: int, seconds: float) -> tuple[Rates, Rates]:
    """Return the rates of the network alone and of the engine."""
    engine = Engine(ChosenBackend(device), queue_bytes=2**40, timeout_s=600)
    store = Store(SHIPPED)
    model = await engine.warm_up(store.load(store.resolve(ModelRef.parse(name))))
    clock = time.process_time if device == "cpu" else time.perf_counter
    network: Rates = {size: [] for size in BATCHES[device]}
    served: Rates = {size: [] for size in REQUEST_SIZES}
    try:
        for size in network:  # warm-up: kernels are chosen and buffers allocated
            _rate(_decode_call(model, size), size, 0.1, clock)
        for _ in range(rounds):
            for size, rates in network.items():
                rates.append(_rate(_decode_call(model, size), size, seconds, clock))
            for size, rates in served.items():
                rates.append(await _engine_rate(engine, model, size, seconds, clock))
    finally:
        engine.close()
    return network, served


def _rate_table(network: Rates, engine: Rates) -> str:
    best = max(network, key=lambda size: statistics.median(network[size]))
    rows = []
    for name, rates in (("network, batches of", network), ("engine, requests of", engine)):
        for size, values in rates.items():
            relative = ratio(values, network[best])
            rows.append(
                [
                    f"{name} {size}",
                    f"{statistics.median(values):,.0f}",
                    f"{relative.median:.2f} [{relative.low:.2f}, {relative.high:.2f}]",
                ]
            )
    return table(["measured", "images/s", "relative to the best network batch"], rows)


def _record(model: str, machine: Machine, text: str, network: Rates, engine: Rates) -> None:
    values = {"model": model, "network_images_per_s": network, "engine_images_per_s": engine}
    print(f"recorded in {record('engine_throughput', machine, text, values)}")


def _decode_call(model: LoadedModel, size: int) -> Callable[[], object]:
    """Return a call that decodes latents.

    Latents and images of a float version stay on the device; those of an exact one are in memory.
    """
    executor = model.executor
    if not isinstance(executor, TorchExecutor):
        latents = np.random.default_rng(0).standard_normal((size, model.latent), np.float32)
        return lambda: executor.run("decode", (latents,))
    vae = executor.vae
    z = torch.randn(size, model.latent, device=model.device)

    @torch.inference_mode()
    def call() -> None:
        vae.mean_image(vae.decode(z))
        if model.device == "cuda":
            torch.cuda.synchronize(model.device)

    return call


def _rate(
    call: Callable[[], object], images: int, seconds: float, clock: Callable[[], float]
) -> float:
    """Return images per second of a call that makes `images` images."""
    done, start = 0, clock()
    while (elapsed := clock() - start) < seconds:
        call()
        done += images
    return done / elapsed


async def _engine_rate(
    engine: Engine, model: LoadedModel, size: int, seconds: float, clock: Callable[[], float]
) -> float:
    """Return images per second of the engine with PENDING_REQUESTS requests of `size` images."""
    z = np.random.default_rng(0).standard_normal((size, model.latent), np.float32)
    done, start = 0, clock()

    async def send_requests() -> None:
        nonlocal done
        while clock() - start < seconds:
            await engine.decode(model, z)
            done += size

    await asyncio.gather(*(send_requests() for _ in range(PENDING_REQUESTS)))
    return done / (clock() - start)


if __name__ == "__main__":
    main()
