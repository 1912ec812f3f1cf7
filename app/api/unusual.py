"""Warn of uploads that are not like the images that a model learnt, by the score of `/score`.

Versions that were published without a typicality table give no warning.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.api.responses_schema import Unusual
from app.inference.engine import Engine
from app.inference.loaded_model import LoadedModel
from app.off_loop import call
from app.typing import Bytes, Floats
from model_store.typicality import Typicality, quantile

HEADER = "X-Unusual"
_MOST_LISTED = 32
"""Number of images that the header lists."""
_LARGE = 1 << 20
"""Values of the pixels of images whose statistics are computed beside the event loop."""

_VERDICTS = {
    "atypical": "the image is atypical of the data of {model}",
    "out_of_distribution": "the image is not like the data of {model} at all",
}


def can_warn(model: LoadedModel) -> bool:
    """Return True if the test images of a version were measured."""
    return model.typicality is not None


async def unusual_uploads(
    model: LoadedModel, x: Bytes, reconstructions: Bytes, mu: Floats
) -> tuple[Unusual | None, ...]:
    """Return a warning for each upload that is less typical than 99 % of the test images.

    x and reconstructions are (images, channels, height, width) in 0..255, mu (images, latent). There
    are no warnings for versions whose test images were not measured.
    """
    table = model.typicality
    if table is None:
        return (None,) * len(x)
    scores = await typicality_scores(table, x, reconstructions, mu)
    return tuple(_warning(model, table, score) for score in scores.tolist())


async def warn_of_uploads(
    model: LoadedModel, engine: Engine, x: Bytes, mu: Floats
) -> tuple[Unusual | None, ...]:
    """Return a warning for each unusual upload; shapes as in `unusual_uploads`.

    The means are decoded for it, unless the test images of the version were not measured.
    """
    if not can_warn(model):
        return (None,) * len(x)
    return await unusual_uploads(model, x, await engine.decode_levels(model, mu), mu)


async def decode_and_warn(
    model: LoadedModel, engine: Engine, z: Floats, x: Bytes | None, mu: Floats
) -> tuple[Bytes, tuple[Unusual | None, ...]]:
    """Decode z (images, latent), and in the same batch the means of the uploads x, if there are any.

    Returns the images of z, and a warning for each row of mu; shapes as in `unusual_uploads`.
    """
    if x is None or not can_warn(model):
        return await engine.decode_levels(model, z), (None,) * len(mu)
    images = await engine.decode_levels(model, np.vstack([z, mu]))
    return images[: len(z)], await unusual_uploads(model, x, images[len(z) :], mu)


async def typicality_scores(
    table: Typicality, x: Bytes, reconstructions: Bytes, mu: Floats
) -> NDArray[np.float64]:
    """Return the typicality score of each upload; shapes as in `unusual_uploads`."""
    return await call(lambda: table.scores_of(x, reconstructions, mu), off_loop=x.size >= _LARGE)


def unusual_headers(warnings: Sequence[Unusual | None]) -> dict[str, str]:
    """Return the header that lists the unusual uploads, such as `0;times=2.7, 3;times=1.2`."""
    return unusual_headers_by_name({str(i): warning for i, warning in enumerate(warnings)})


def unusual_headers_by_name(warnings: Mapping[str, Unusual | None]) -> dict[str, str]:
    """Return the header that lists the unusual uploads by their names, such as `a;times=2.7`."""
    listed = [
        f"{name};times={warning.times:.1f}"
        for name, warning in warnings.items()
        if warning is not None
    ]
    return {HEADER: ", ".join(listed[:_MOST_LISTED])} if listed else {}


def _warning(model: LoadedModel, table: Typicality, score: float) -> Unusual | None:
    verdict = table.verdict(score)
    if verdict == "typical":
        return None
    return Unusual(
        score=round(score, 4),
        limit=table.limit,
        quantile=round(quantile(score, table.scores), 4),
        verdict=verdict,
        detail=f"{_VERDICTS[verdict].format(model=model.name)}: its score is "
        f"{score / table.limit:.1f} times the limit that 99 % of {table.images} test images stay "
        "below",
    )
