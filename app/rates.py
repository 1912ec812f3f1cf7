"""Rates, such as 10/minute."""

import re
from dataclasses import dataclass
from typing import Self

_PERIODS_S = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_RATE = re.compile(r"([1-9]\d{0,8})/(second|minute|hour|day)")


@dataclass(frozen=True)
class Rate:
    """At most `count` in each period; that many may come at once.

    Attributes:
        count: Number of requests.
        period_s: Length of the period, in seconds.
    """

    count: int
    period_s: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rate that a text like 10/minute names; raises ValueError."""
        match = _RATE.fullmatch(text)
        if match is None:
            raise ValueError(f"a rate is a number per {', '.join(_PERIODS_S)}, such as 10/minute")
        return cls(int(match[1]), _PERIODS_S[match[2]])

    @property
    def interval_s(self) -> float:
        """Seconds after which one more request is allowed."""
        return self.period_s / self.count

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.count}/{next(name for name, s in _PERIODS_S.items() if s == self.period_s)}"
