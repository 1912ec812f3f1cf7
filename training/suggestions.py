"""Suggest names that resemble a mistyped one. Imports the standard library alone."""

import difflib
from collections.abc import Iterable

MOST_LISTED = 20
"""Longest list of names that a message contains."""


SIMILAR = 0.66
"""Similarity of two names, between 0 and 1, from which one is suggested for the other."""


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Return at most three names that resemble `name`, the most similar first.

    Of dotted names, the last parts have to be similar, so that `epochs` finds `optimiser.epochs`;
    the parts before decide between equally similar ones.
    """
    wanted = name[:80].lower()
    scores = {each: _similarity(wanted, each.lower()) for each in names}
    similar = sorted(
        (each for each in scores if scores[each][0] >= SIMILAR), key=scores.__getitem__
    )
    best = scores[similar[-1]][0] if similar else 0.0
    return [each for each in reversed(similar) if scores[each][0] >= best - 0.1][:3]


def _similarity(a: str, b: str) -> tuple[float, float]:
    """Return the similarity of the last parts of two dotted names, and of the whole names."""
    last_a, last_b = a.rpartition(".")[2], b.rpartition(".")[2]
    return _ratio(last_a, last_b), _ratio(a, b)


def _ratio(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a, b).ratio()


def advice(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """Return `did you mean ...?`, or the list of names if it is short, or `otherwise`."""
    names = list(names)
    if similar := nearest(name, names):
        return f"did you mean {' or '.join(similar)}?"
    if 0 < len(names) <= MOST_LISTED:
        return f"there are: {', '.join(names)}"
    return otherwise or "there is none with a similar name"
