"""Check requests against the limits of the settings."""

from app.api.result import OutputOptions
from app.errors import LimitError
from app.inference.loaded_model import LoadedModel
from app.settings import Settings


def at_most(name: str, value: float, limit: float, setting: str) -> None:
    """Raise LimitError if a value is greater than the limit that `setting` configures."""
    if value > limit:
        raise LimitError(
            f"{name} is {_short(value)}, at most {limit:g} is allowed",
            limit=limit,
            remedy=f"ask for {limit:g} or less; the operator can raise {setting}",
        )


def check_answer_pixels(
    n: int, model: LoadedModel, output: OutputOptions, settings: Settings
) -> None:
    """Raise LimitError if n images at the requested scale have too many pixels for one answer."""
    _, height, width = model.manifest.spec.image.shape
    at_most(
        "the number of pixels at this scale",
        n * height * width * output.scale**2,
        settings.max_answer_pixels,
        "ZSERVE_MAX_ANSWER_PIXELS",
    )


def _short(value: float) -> str:
    """Shorten a number of many digits for a message."""
    text = str(value)
    return text if len(text) <= 24 else f"{text[:20]}..."
