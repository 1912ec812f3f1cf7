"""Choose the fonts of the data set: letters that resemble letters, and no design twice.

A font's tables may say that it has an A and draw a flower. Each character is therefore compared with
the mean of all fonts, by the cosine of blurred images, and a font is used if most of its characters
resemble their own mean more than that of any other character. Upright and slanted fonts have means
of their own.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.glyphs.fonts import CHARACTERS, Font

MIN_RECOGNISED = 0.5
"""Share of a font's characters that must resemble their own mean most."""
MIN_RECOGNISED_SMALL = 0.6
"""Share of SMALL_LETTERS that must resemble their own mean most; fonts of small capitals fail."""
SMALL_LETTERS = "abdefghmnqrt"
"""Small letters that are no smaller copies of their capitals."""
MAX_EQUAL_PAIRS = 4
"""Pairs of characters that may look alike in one font, such as l and I; lists in `LOOKALIKES`."""
EQUAL_DISTANCE = 0.08
"""Relative distance of two images of one font from which on they count as different."""
DUPLICATE_DISTANCE = 0.12
"""Relative distance over all characters below which two fonts are one design."""
MAX_FONTS_OF_FAMILY = 6
TEST_SHARE = 0.15
"""Share of the families that is held out, by the first word of their names."""

LOOKALIKES = ("0Oo", "1lIij", "Cc", "Kk", "Pp", "Ss", "Uu", "Vv", "Ww", "Xx", "Yy", "Zz")
"""Characters that differ in size alone, or not at all, in many fonts; confusions do not count."""

_ROUNDS = 3
"""Rounds in which fonts that resemble the means least are left out of the means."""
_LEFT_OUT = 0.25

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Drawn:
    """A font and its characters: (characters, height, width)."""

    font: Font
    images: Bytes


def choose(fonts: Sequence[Drawn]) -> tuple[list[Drawn], Counter[str]]:
    """Return the fonts to use, sorted by name, and why the others are left out -> their number."""
    left_out: Counter[str] = Counter()
    ordered = sorted(fonts, key=_preference)
    if not ordered:
        return [], left_out
    pixels = np.stack([drawn.images for drawn in ordered])
    legible = recognised_fonts(pixels, np.array([drawn.font.slant != 0 for drawn in ordered]))
    distinct = np.array([_equal_pairs(images) <= MAX_EQUAL_PAIRS for images in pixels])
    left_out["does not resemble letters"] = int((~legible).sum())
    left_out["draws several characters alike"] = int((legible & ~distinct).sum())
    usable = np.flatnonzero(legible & distinct)
    kept = usable[_first_of_each_design(pixels[usable])]
    left_out["looks like another font"] = len(usable) - len(kept)
    chosen = _few_of_each_family([ordered[index] for index in kept])
    left_out[f"has {MAX_FONTS_OF_FAMILY} fonts of its family before it"] = len(kept) - len(chosen)
    return sorted(chosen, key=lambda drawn: _preference(drawn)[1:]), left_out


def is_test_family(family: str) -> bool:
    """Return True if the fonts of a family are held out; relatives share the first word.

    The choice follows from the name alone. A family is therefore in the same split whatever other
    fonts a machine has, and a classifier that was trained on one machine has not seen the test
    fonts of another.
    """
    words = family.split()
    word = words[0].casefold() if words else ""
    number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return number < TEST_SHARE * 2**32


def recognised_fonts(pixels: Bytes, slanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which fonts have characters that resemble those of the others; (fonts,).

    pixels (fonts, characters, height, width); slanted (fonts,).
    """
    vectors = _unit(_summary(pixels))
    best = np.full((len(pixels), len(CHARACTERS)), -1)
    score = np.full(best.shape, -np.inf, np.float32)
    for group in (~slanted, slanted):
        if not group.any():
            continue
        means = _consensus(vectors[group])
        cosines = np.einsum("fcp,kp->fck", vectors, means, optimize=True)
        nearest, cosine = cosines.argmax(axis=2), cosines.max(axis=2)
        best = np.where(cosine > score, nearest, best)
        score = np.maximum(score, cosine)
    kinds = _kinds()
    right = kinds[best] == kinds
    small = [CHARACTERS.index(character) for character in SMALL_LETTERS]
    enough = right.mean(axis=1) >= MIN_RECOGNISED
    return np.asarray(enough & (right[:, small].mean(axis=1) >= MIN_RECOGNISED_SMALL))


def _consensus(vectors: Floats) -> Floats:
    """Return the mean of each character over the fonts that resemble it; (characters, pixels)."""
    means = _unit(vectors.mean(axis=0))
    for _ in range(_ROUNDS):
        cosines = np.einsum("fcp,cp->fc", vectors, means).mean(axis=1)
        means = _unit(vectors[cosines >= np.quantile(cosines, _LEFT_OUT)].mean(axis=0))
    return means


def _kinds() -> NDArray[np.int64]:
    """Return a number for each character, the same for lookalikes."""
    first = {character: group[0] for group in LOOKALIKES for character in group}
    return np.array([CHARACTERS.index(first.get(c, c)) for c in CHARACTERS])


def _equal_pairs(images: Bytes) -> int:
    """Count the pairs of characters of one font whose images are equal; (characters, h, w)."""
    vectors = images.reshape(len(images), -1).astype(np.float32)
    return int((_distances(vectors)[np.triu_indices(len(vectors), 1)] < EQUAL_DISTANCE).sum())


def _first_of_each_design(pixels: Bytes) -> NDArray[np.intp]:
    """Return the fonts that resemble none before them; pixels (fonts, characters, h, w)."""
    near = _distances(_summary(pixels).reshape(len(pixels), -1)) < DUPLICATE_DISTANCE
    kept: list[int] = []
    for index in range(len(pixels)):
        if not near[index, kept].any():
            kept.append(index)
    return np.array(kept, dtype=np.intp)


def _distances(vectors: Floats) -> Floats:
    """Return the distance of each pair, relative to the root of the mean square norm; (n, n)."""
    products = vectors @ vectors.T
    norms = np.diag(products)
    squares = norms[:, None] + norms[None, :] - 2 * products
    scale = 0.5 * (norms[:, None] + norms[None, :])
    return np.asarray(np.sqrt(np.maximum(squares, 0) / np.maximum(scale, 1e-6)), np.float32)


def _few_of_each_family(fonts: Sequence[Drawn]) -> list[Drawn]:
    """Return at most MAX_FONTS_OF_FAMILY of each family: the first, then what differs most."""
    families: dict[str, list[Drawn]] = defaultdict(list)
    for drawn in fonts:
        families[drawn.font.family].append(drawn)
    return [drawn for family in families.values() for drawn in _most_different(family)]


def _most_different(family: Sequence[Drawn]) -> list[Drawn]:
    if len(family) <= MAX_FONTS_OF_FAMILY:
        return list(family)
    images = np.stack([drawn.images for drawn in family])
    distances = _distances(_summary(images).reshape(len(family), -1))
    kept = [0]
    while len(kept) < MAX_FONTS_OF_FAMILY:
        kept.append(int(distances[:, kept].min(axis=1).argmax()))
    return [family[index] for index in kept]


def _preference(drawn: Drawn) -> tuple[bool, str, str, str]:
    """Sort plain fonts of a family before its others, so that these are the ones that stay."""
    font = drawn.font
    plain = font.weight == 400 and font.slant == 0 and font.width == 100
    return (not plain, font.family.casefold(), font.style.casefold(), font.path.name)


def _summary(pixels: Bytes) -> Floats:
    """Blur images and keep every second row and column; (fonts, characters, h / 2 * w / 2)."""
    parts = [_blurred(font)[:, ::2, ::2].reshape(len(font), -1) for font in pixels]
    return np.asarray(np.stack(parts), np.float32)


def _blurred(pixels: Bytes) -> Floats:
    """Average each pixel with its neighbours, twice, by the weights 1, 2, 1; same shape, in [0, 1]."""
    result = pixels.astype(np.float32) / 255
    for axis in (-2, -1, -2, -1):
        result = (np.roll(result, 1, axis) + 2 * result + np.roll(result, -1, axis)) / 4
    return np.asarray(result, np.float32)


def _unit(vectors: Floats) -> Floats:
    """Scale vectors in the last dimension to length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6))
