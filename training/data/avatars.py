"""Draw cartoon faces with known factors: the style ToonHead, drawn by DiceBear.

ToonHead is by Johan Melin, CC BY 4.0. The style has a few hairstyles, mouths, eyes and clothes. This
module chooses the continuous factors: skin and hair along ramps of the style's colours, the hue of
clothes and background, the length of long hair and the height of the eyebrows. An image follows from
the seed and its number, so a smaller data set is the beginning of a larger one.
"""

import colorsys
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from training.errors import UsageError

if TYPE_CHECKING:
    from dicebear import Style

PACKAGES = ("dicebear-core", "dicebear-styles", "resvg-py")

_STYLE = "toon-head"
_SKIN = ("#5c3829", "#80503b", "#a36b4f", "#c68e7a", "#f1c3a5")
_HAIR = ("#2c1b18", "#724133", "#a55728", "#b58143", "#d6b370", "#d9d5cf")
_LEAST_CONTRAST = 22
"""Smallest difference between the luma of skin and of hair, 0 to 255: less hides eyebrows and beards."""
_INVISIBLE = "#00000000"
"""Colour of the outlines, which are a twelfth of a pixel wide at 64 pixels."""
_RANGES: Mapping[str, Mapping[str, Any]] = {
    "rearHair": {"translate": {"y": {"min": -45, "max": 4}}},
    "mouth": {"scale": {"min": 1.3, "max": 1.5}},
    "eyes": {"scale": {"min": 1.0, "max": 1.12}},
    "eyebrows": {"translate": {"y": {"min": -12, "max": 6}}},
}
"""Transforms that DiceBear draws for each face; translations are percentages of the component."""


class _Hairstyle(NamedTuple):
    """Names of the parts in front of and behind the head, None for none, and how often it occurs."""

    front: str | None
    rear: str | None = None
    weight: int = 1


HAIRSTYLES: Mapping[str, _Hairstyle] = {
    "bald": _Hairstyle(None),
    "bun": _Hairstyle("bun"),
    "combed": _Hairstyle("sideComed"),
    "crop": _Hairstyle("undercut"),
    "long": _Hairstyle("sideComed", "longStraight", weight=2),
    "spiky": _Hairstyle("spiky"),
}
"""Class of an image -> its hair."""
_BEARDED = frozenset({"bald", "combed", "crop", "spiky"})
_BEARD_PERCENT = 40

# Value of an attribute for each variant.
_SMILE = {"sad": -1.0, "agape": 0.0, "smile": 0.5, "laugh": 1.0}
_EYES_OPEN = {"bow": 0.0, "happy": 1.0, "wide": 1.25}

# Weights of the variants.
_MOUTHS = {"laugh": 5, "smile": 3, "agape": 1, "sad": 1}
_EYES = {"happy": 6, "bow": 2, "wide": 2}
_EYEBROWS = {"neutral": 2, "happy": 2, "sad": 1}
_CLOTHES = {"tShirt": 2, "shirt": 1, "turtleNeck": 1}
_BEARD = "fullBeard"


@dataclass(frozen=True)
class Avatar:
    """One drawn face.

    Attributes:
        image: RGB, `size` x `size` pixels.
        hairstyle: its class, a key of HAIRSTYLES.
        attributes: name -> value; see `Artist.draw`.
    """

    image: Image.Image
    hairstyle: str
    attributes: Mapping[str, float]


class Artist:
    """Draws faces; raises UsageError if a package is missing."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        self._definition, self._style = _load_style()

    def draw(self, split: str, number: int) -> Avatar:
        """Draw one face. Its attributes are:

        - `skin_tone` and `hair_tone`: place on the ramp of colours, 0 dark to 1 light
        - `hair_length`: 0 without hair behind the head, else 0.4 to 1
        - `smile`: -1 sad, 0 open mouth, 0.5 smile, 1 laugh
        - `eyes_open`: 0 closed, 1 open, 1.25 wide
        - `eyebrow_height`: 0 low to 1 high
        - `beard`: 0 none, 1 a full one
        - `clothes_warmth` and `background_warmth`: 1 orange to -1 blue
        """
        from dicebear import Avatar as Drawing  # noqa: PLC0415 - the package is optional

        random = np.random.default_rng([self._seed, *split.encode(), number])
        factors = _draw_factors(random)
        options = {**factors.options(), "seed": f"{self._seed}/{split}/{number}"}
        drawing = Drawing(self._style, options)
        picked = drawing.to_json()["options"]
        return Avatar(
            _rasterise(str(drawing), self._size), factors.hairstyle, factors.measure(picked)
        )

    def licences(self) -> str:
        """Return the text of LICENCES.md, which belongs beside the images."""
        meta = self._definition["meta"]
        packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        return (
            "# Licences\n\n"
            f"The faces are drawn from the avatar style [{meta['source']['name']}]"
            f"({meta['source']['url']}) by [{meta['creator']['name']}]({meta['creator']['url']}), "
            f"licensed under [{meta['license']['name']}]({meta['license']['url']}). Colours, "
            "proportions and combinations were chosen by `python -m training data avatars`. The images "
            "may be used, shared and changed if this attribution is kept.\n\n"
            f"Drawn by {packages}: their code is under the MIT licence.\n"
        )


@dataclass(frozen=True)
class _Factors:
    """Features of one face; places on colour ramps, and hues, are in [0, 1)."""

    hairstyle: str
    skin: float
    hair: float
    clothes: float
    background: float

    def options(self) -> dict[str, Any]:
        """Return the options of DiceBear."""
        front, rear, _ = HAIRSTYLES[self.hairstyle]
        return {
            "skinColor": _hex(_on_ramp(_SKIN, self.skin)),
            "hairColor": _hex(_on_ramp(_HAIR, self.hair)),
            "clothesColor": _hex(_of_hue(self.clothes, saturation=0.62, value=0.82)),
            "backgroundColor": _hex(_of_hue(self.background, saturation=0.2, value=0.97)),
            "strokeColor": _INVISIBLE,
            **({"hairVariant": front} if front else {}),
            **({"rearHairVariant": rear} if rear else {}),
            "hairProbability": 100 if front else 0,
            "rearHairProbability": 100 if rear else 0,
            "beardProbability": _BEARD_PERCENT if self.hairstyle in _BEARDED else 0,
            "beardVariant": _BEARD,
            "mouthVariant": _MOUTHS,
            "eyesVariant": _EYES,
            "eyebrowsVariant": _EYEBROWS,
            "clothesVariant": _CLOTHES,
            "scale": 1.1,
            "translateY": 5,
        }

    def measure(self, picked: Mapping[str, Any]) -> dict[str, float]:
        """Return the attributes; `picked` are the options that DiceBear chose."""
        return {
            "skin_tone": self.skin,
            "hair_tone": self.hair,
            "hair_length": _place(picked, "rearHair", 0.4, 1.0)
            if "rearHairVariant" in picked
            else 0,
            "smile": _SMILE[picked["mouthVariant"]],
            "eyes_open": _EYES_OPEN[picked["eyesVariant"]],
            "eyebrow_height": _place(picked, "eyebrows", 1.0, 0.0),
            "beard": float("beardVariant" in picked),
            "clothes_warmth": _warmth(self.clothes),
            "background_warmth": _warmth(self.background),
        }


def _draw_factors(random: np.random.Generator) -> _Factors:
    weighted = [name for name, style in HAIRSTYLES.items() for _ in range(style.weight)]
    hairstyle = str(random.choice(weighted))
    while True:
        skin, hair = random.random(2)
        contrast = abs(_luma(_on_ramp(_SKIN, skin)) - _luma(_on_ramp(_HAIR, hair)))
        if contrast >= _LEAST_CONTRAST:
            break
    clothes, background = random.random(2)
    return _Factors(hairstyle, float(skin), float(hair), float(clothes), float(background))


def _load_style() -> tuple[Mapping[str, Any], "Style"]:
    """Return the definition of the style, with ranges of its own, and its parsed form."""
    try:
        import resvg_py  # noqa: F401, PLC0415 - optional; used by _rasterise
        from dicebear import Style  # noqa: PLC0415 - the package is optional

        text = files("dicebear_styles").joinpath(f"{_STYLE}.json").read_text("utf-8")
    except ImportError as error:
        raise UsageError(
            f"the faces need packages that are not installed ({error}); install them: "
            f"python -m pip install {' '.join(PACKAGES)}"
        ) from error
    definition = json.loads(text)
    for component, ranges in _RANGES.items():
        definition["components"][component].update(ranges)
    return definition, Style(definition)


def _rasterise(svg: str, size: int) -> Image.Image:
    from resvg_py import svg_to_bytes  # noqa: PLC0415 - the package is optional

    png = svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    return Image.open(io.BytesIO(png)).convert("RGB")


# --- colours: (red, green, blue), each 0 to 255 --------------------------------------------------

_Colour = tuple[float, float, float]


def _on_ramp(stops: tuple[str, ...], place: float) -> _Colour:
    """Return the colour between two neighbouring stops; `place` is 0 at the first, 1 at the last."""
    channels = zip(*(bytes.fromhex(stop.removeprefix("#")) for stop in stops), strict=True)
    at = np.linspace(0, 1, len(stops))
    red, green, blue = (float(np.interp(place, at, values)) for values in channels)
    return red, green, blue


def _of_hue(hue: float, *, saturation: float, value: float) -> _Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return 255 * red, 255 * green, 255 * blue


def _hex(colour: _Colour) -> str:
    return "#" + "".join(f"{round(channel):02x}" for channel in colour)


def _luma(colour: _Colour) -> float:
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _warmth(hue: float) -> float:
    """Return 1 for orange, -1 for its complement, a blue."""
    return float(np.cos(2 * np.pi * (hue - 1 / 12)))


def _place(picked: Mapping[str, Any], component: str, first: float, last: float) -> float:
    """Return a value between `first`, at the highest position, and `last`, at the lowest."""
    limits = _RANGES[component]["translate"]["y"]
    place = picked[f"{component}TranslateY"]
    return float(np.interp(place, (limits["min"], limits["max"]), (first, last)))
