"""The network alone: decode n = 16 latents again and again, for SECONDS; prints calls a second."""

import os
import time

import torch
from samples import load_model  # type: ignore[import-not-found]

SECONDS = float(os.environ["SECONDS_OF_LOOP"])
N = 16


@torch.inference_mode()
def main() -> None:
    """Call and count."""
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
