"""The points of the load grid: request size and number of connections."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LoadPoint:
    """A load: requests for `n` images over `connections` connections, answered with `status`."""

    n: int
    connections: int
    status: int = 200

    def __str__(self) -> str:
        name = "304 answers" if self.status == 304 else f"n={self.n}"
        return f"{name}, {self.connections} connections"


N16_C32 = LoadPoint(16, 32)
N16_C1 = LoadPoint(16, 1)
N1_C32 = LoadPoint(1, 32)
NOT_MODIFIED = LoadPoint(16, 32, status=304)
"""Conditional GETs of one seeded grid; each sends If-None-Match with the current ETag."""
