"""Snapshots of a training for tests."""

import numpy as np

from model_store.snapshots import Snapshots, make


def snapshots(
    *,
    latent: int = 3,
    shape: tuple[int, int, int] = (1, 4, 4),
    labels: tuple[int, ...] | None = None,
    beta: float = 1.0,
    epochs: tuple[float, ...] = (0.0, 0.5, 1.0, 4.0),
    test_images: int = 6,
) -> Snapshots:
    """Return snapshots of a made-up training; the second dimension is the most informative one."""
    times = np.array(epochs)
    rng = np.random.default_rng(round(beta * 2))
    learnt = times / times[-1]
    kl_nats = np.roll(np.arange(latent, 0, -1.0) - 0.5, 1) / max(beta, 0.25)
    where = rng.standard_normal((test_images, latent)) * (6 if beta == 0 else 1)
    grey = np.linspace(0, 255, 24).astype(np.uint8)
    tiles = (grey[None, :] * learnt[:, None]).astype(np.uint8)
    images = np.broadcast_to(tiles[:, :, None, None, None], (*tiles.shape, *shape))
    return make(
        epochs=times,
        reconstruction_nats=200.0 - (60.0 / (1 + beta)) * learnt,
        kl_nats=kl_nats.sum() * learnt,
        dimension_kl_nats=learnt[:, None] * kl_nats,
        samples=16,
        tiles=np.ascontiguousarray(images),
        reconstruction_labels=None if labels is None else (labels * 8)[:8],
        mu=learnt[:, None, None] * where,
        labels=None if labels is None else (labels * test_images)[:test_images],
    )
