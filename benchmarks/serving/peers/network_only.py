"""Decode 16 latents in a loop for LOOP_SECONDS, without a server; print calls per second."""

import os
import time

import torch
from shared import load_model  # type: ignore[import-not-found]

SECONDS = float(os.environ["LOOP_SECONDS"])
N = 16


@torch.inference_mode()
def main() -> None:
    """Warm up, then decode and count."""
    vae = load_model()
    z = torch.randn(N, vae.spec.latent)
    for _ in range(50):
        vae.mean_image(vae.decode(z))
    calls, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        vae.mean_image(vae.decode(z))
        calls += 1
    print(calls / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
