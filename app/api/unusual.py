"""Warn of uploads that are not like the images that a model learnt."""

from collections.abc import Sequence

from app.api.responses_schema import Unusual
from app.inference.loaded_model import LoadedModel
from app.typing import Bytes
from model_store.typical_errors import reconstruction_errors, typical_errors

HEADER = "X-Unusual"
_MOST_LISTED = 32
"""Number of images that the header lists."""


def unusual_uploads(
    model: LoadedModel, x: Bytes, reconstructions: Bytes
) -> tuple[Unusual | None, ...]:
    """Return a warning for each upload that is reconstructed worse than 99 % of the test images.

    Both arrays are (images, channels, height, width) in 0..255. There are no warnings for versions
    whose test images were not measured.
    """
    typical = typical_errors(model.manifest.weights_sha256)
    if typical is None:
        return (None,) * len(x)
    errors = reconstruction_errors(x, reconstructions).tolist()
    return tuple(
        Unusual(
            error=round(error, 4),
            limit=typical.limit,
            detail=f"the image is not like the data of {model.name}: its reconstruction error is "
            f"{error / typical.limit:.1f} times the limit that 99 % of {typical.images} test "
            f"images stay below",
        )
        if error > typical.limit
        else None
        for error in errors
    )


def unusual_headers(warnings: Sequence[Unusual | None]) -> dict[str, str]:
    """Return the header that lists the unusual uploads, such as `0;times=2.7, 3;times=1.2`."""
    listed = [
        f"{i};times={warning.error / warning.limit:.1f}"
        for i, warning in enumerate(warnings)
        if warning is not None
    ]
    return {HEADER: ", ".join(listed[:_MOST_LISTED])} if listed else {}
