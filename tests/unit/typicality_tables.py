"""Typicality tables for tests."""

from model_store.typicality import LEVELS, Typicality


def table(highest_score: float = 4.0, images: int = 100) -> Typicality:
    """Return a table whose test images have scores from 0 to `highest_score`, evenly spread."""
    return Typicality(
        images=images,
        centre=(-3.0, 2.0, 4.0, 4.0),
        scale=(0.5, 0.5, 0.5, 0.5),
        scores=tuple(highest_score * level for level in LEVELS),
        likelihood_images=images,
        draws=64,
        elbo_nats=tuple(-300.0 + 200.0 * level for level in LEVELS),
        nll_nats=tuple(100.0 + 200.0 * level for level in LEVELS),
    )
