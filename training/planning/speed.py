"""Measure how fast this machine trains a preset, by some steps on random images."""

import time

import torch

from training.config import Preset
from training.data.images import Images, as_floats
from training.devices import Threads
from training.fitting.compute_choice import choose_compute
from training.fitting.trainer import Trainer, initialise

WARM_UP_STEPS = 2
"""Steps before the measurement: the first ones allocate memory and choose kernels."""
MAX_STEPS = 12
MAX_S = 4.0
"""Longest measurement, seconds; a step that has begun is completed."""
STEPS_SHARE = 0.8
"""Share of the steps' speed that remains with measuring, averaging and checkpoints."""


def measure_images_per_s(
    preset: Preset, device: torch.device, threads: Threads | None = None
) -> float:
    """Return how many images per second a training of this preset learns from.

    It computes as the training will: see `choose_compute`, which sets the number of threads.
    """
    vae = initialise(preset.model, seed=0).to(device)
    shape = (preset.optimiser.batch_size, *preset.model.image.shape)
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, shape, generator=noise, dtype=torch.uint8).to(device)
    choice = choose_compute(preset, vae, Images(pixels), threads=threads, seed=0)
    trainer = Trainer(vae, preset.objective, preset.optimiser, 0, choice.compute)
    vae.train()
    for _ in range(WARM_UP_STEPS):
        trainer.step(as_floats(pixels), 0.0)
    started = time.perf_counter()
    steps = elapsed_s = 0.0
    while steps < MAX_STEPS and elapsed_s < MAX_S:
        float(trainer.step(as_floats(pixels), 0.0)[0])  # reading the loss waits for a GPU
        steps += 1
        elapsed_s = time.perf_counter() - started
    return STEPS_SHARE * steps * len(pixels) / elapsed_s
