"""A progress bar on stderr."""

from __future__ import annotations

import sys
import time
from typing import Self


class ProgressBar:
    """A line on stderr that is updated in place; nothing if stderr is not a terminal."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._enabled = sys.stderr.isatty()
        self._start: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._enabled and self._start is not None:
            print(file=sys.stderr)

    def show(self, done: int, total: int) -> None:
        """Draw the bar, with the estimated seconds to the end."""
        if not self._enabled:
            return
        now = time.monotonic()
        started_at, done_at_start = self._start = self._start or (now, done)
        rate = (done - done_at_start) / (now - started_at) if now > started_at else 0.0
        remaining = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        bar = "#" * (30 * min(done, total) // max(total, 1))
        text = f"\r[{bar:30}] {min(done, total)}/{total} {self._unit}{remaining}"
        print(f"{text:72}", end="", file=sys.stderr, flush=True)
