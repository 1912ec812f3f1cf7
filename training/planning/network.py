"""The size of the images and of the network, from the size and the number of the user's images."""

from model_store.network_size import network_size
from model_store.spec import Flow, ImageShape, ModelSpec, Residual
from training.data.folder_survey import Survey

DEFAULT_SIDE = 64
"""Longest side of the model's images, pixels, unless the user asks for another."""
MIN_SIDE = 8
MAX_SIDE = 256
NEARLY_SQUARE = 0.8
"""Shorter by longer side from which images are cropped to a square."""
SMALLEST_MAP = 4
"""Side of the last feature map, at least."""
FEW_IMAGES = 1000
"""Training images below which a narrower network is used."""

_CHANNELS = ((96, 8), (48, 12), (24, 24), (12, 48), (6, 72), (0, 96))
"""Side of a feature map, at least -> its channels: about equal work on each map, 83 MFLOP to decode
an image of 64x64, 116 for 128x128."""


def image_shape(survey: Survey, size: int | None) -> ImageShape:
    """Choose the shape of the model's images; `size` is the longer side that the user asks for."""
    shorter, longer = sorted((survey.width, survey.height))
    channels = 3 if survey.colour else 1
    if shorter / longer >= NEARLY_SQUARE:
        side = size or _whole_fours(min(shorter, DEFAULT_SIDE))
        return ImageShape(channels=channels, height=side, width=side)
    long = size or _whole_fours(min(longer, DEFAULT_SIDE))
    short = max(4 * round(long * shorter / longer / 4), MIN_SIDE)
    wide = survey.width > survey.height
    height, width = (short, long) if wide else (long, short)
    return ImageShape(channels=channels, height=height, width=width)


def model_spec(survey: Survey, size: int | None) -> ModelSpec:
    """Choose network, latents, prior and likelihood."""
    image = image_shape(survey, size)
    few = survey.train < FEW_IMAGES
    graphic = not survey.colour and survey.extremes >= 0.5
    return ModelSpec(
        latent=_latents(survey),
        image=image,
        upload="resize",
        likelihood="bernoulli" if graphic else "discretised_logistic",
        network=Residual(channels=_channels(image, few=few), hidden=128, batch_norm=True),
        prior=Flow(couplings=4, hidden=64) if few else Flow(couplings=8, hidden=128),
        logvar_bound=8,
    )


def decoding_mflop(spec: ModelSpec) -> float:
    """Return the work to decode one image, in millions of additions and multiplications.

    The decoder mirrors the encoder, so it has half of the multiplications, without the flow's.
    """
    without_flow = spec.model_copy(update={"prior": None})
    return network_size(without_flow).multiplications / 1e6


def _latents(survey: Survey) -> int:
    if survey.train < FEW_IMAGES // 2:
        return 16
    return 32 if survey.train < 3 * FEW_IMAGES or not survey.colour else 64


def _channels(image: ImageShape, *, few: bool) -> tuple[int, ...]:
    """Halve the sides as long as the last feature map has SMALLEST_MAP pixels a side."""
    channels: list[int] = []
    side = min(image.height, image.width) // 2
    while side >= SMALLEST_MAP or not channels:
        widest = next(width for least, width in _CHANNELS if side >= least)
        channels.append(widest * 2 // 3 // 4 * 4 if few else widest)
        side //= 2
    return tuple(channels)


def _whole_fours(side: int) -> int:
    return max(MIN_SIDE, side // 4 * 4)
