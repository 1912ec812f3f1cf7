"""Report how far a long computation is, without passing a callback through all of its functions.

    with following(show):           # show(0.25) is called when a quarter is done
        for seed in tracked(seeds):
            for batch in tracked(batches):
                ...

Loops inside of loops share the part of the loop around them. Without `following`, `tracked` only
iterates.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Part:
    """The part of the whole that the next loop computes; `start` and `width` are fractions."""

    report: Callable[[float], None]
    start: float = 0.0
    width: float = 1.0


_current: ContextVar[_Part | None] = ContextVar("progress", default=None)


@contextlib.contextmanager
def following(report: Callable[[float], None]) -> Iterator[None]:
    """Call `report` with the fraction that is done, from 0 to 1, of each tracked loop inside."""
    before = _current.get()
    _current.set(_Part(report))
    try:
        yield
    finally:
        _current.set(before)


def tracked(items: Sequence[Item]) -> Iterator[Item]:
    """Iterate, and report after each item."""
    part = _current.get()
    if part is None:
        yield from items
        return
    width = part.width / max(1, len(items))
    try:
        for number, item in enumerate(items):
            _current.set(_Part(part.report, part.start + number * width, width))
            yield item
            part.report(part.start + (number + 1) * width)
    finally:
        _current.set(part)
