"""Decide what a run measures: servers, models, load points, rounds and cores."""

from dataclasses import dataclass

from benchmarks.serving.exported_models import LAB
from benchmarks.serving.load_points import LoadPoint
from benchmarks.serving.servers import Server

START_S = {"ray": 25.0, "bentoml": 12.0, "litserve": 10.0}
"""Environment -> seconds that a start takes; OTHER_START_S for all others."""
OTHER_START_S = 6.0


@dataclass(frozen=True)
class Plan:
    """Description of a run: servers, models, load points, rounds and cores."""

    servers: tuple[Server, ...]
    models: tuple[str, ...]
    points: tuple[LoadPoint, ...]
    last_round_points: tuple[LoadPoint, ...]
    """Points that are measured with the MLP in the last round only, because long queues remain."""
    rounds: int
    duration_s: int
    tuned_settings: int | None
    """Number of settings that are tried of each server's grid; None for all."""

    @property
    def sizes(self) -> set[int]:
        """Images per request over all load points."""
        return {point.n for point in self.points + self.last_round_points}

    def points_in(self, round_number: int, model: str = LAB) -> tuple[LoadPoint, ...]:
        """Return the load points of a round, the lightest first."""
        points = self.points
        if round_number == self.rounds - 1 and model == LAB:
            points += self.last_round_points
        return tuple(sorted(points, key=lambda point: point.n * point.connections))

    def duration_of(self, point: LoadPoint) -> int:
        """Return seconds; twice as long if requests are large, so that there are enough answers."""
        return self.duration_s * (2 if point.n > 16 else 1)

    def includes(self, server: Server, model: str, point: LoadPoint) -> bool:
        """Return True if a server is measured at this load point."""
        if server.points is not None and point not in server.points:
            return False
        return model == LAB or (server.decodes and server.points is None)

    def servers_of(self, model: str) -> tuple[Server, ...]:
        """Return the servers that are measured with a model."""
        return tuple(
            server
            for server in self.servers
            if any(self.includes(server, model, point) for point in self.points)
        )

    def estimate_s(self) -> float:
        """Estimate the duration of the run on an idle machine (s)."""
        network_only_s = self.rounds * (10 + len(self.models) * (self.duration_s + 3))
        return network_only_s + sum(self._server_s(server) for server in self.servers)

    def _server_s(self, server: Server) -> float:
        start_s = START_S.get(server.environment, OTHER_START_S)
        tried = len(server.grid[: self.tuned_settings])
        total = tried * (start_s + self.duration_s + 2) if tried > 1 else 0.0
        for model in self.models:
            points = [
                point
                for number in range(self.rounds)
                for point in self.points_in(number, model)
                if self.includes(server, model, point)
            ]
            total += start_s if points else 0
            total += sum(self.duration_of(point) + 0.5 for point in points)
            total += sum(point.n * point.connections / 10_000 for point in points)  # to settle
        return total


def is_on_cross(point: LoadPoint, sizes: tuple[int, ...], connections: tuple[int, ...]) -> bool:
    """Return True for every size at 32 connections and every number of connections at n=16.

    If the grid has no such centre, all of its points are kept.
    """
    if 16 not in sizes or 32 not in connections:
        return True
    return point.n == 16 or point.connections == 32


@dataclass(frozen=True)
class Cores:
    """Assigns servers and load generator to different cores, if the machine has several."""

    available: tuple[int, ...]

    @property
    def load(self) -> set[int]:
        """The core of the load generator: the last one."""
        return {self.available[-1]}

    def server(self, workers: int) -> set[int]:
        """Return the cores of a server: the first ones, one for each worker."""
        return set(self.available[:workers])

    def described(self) -> str:
        """Describe the assignment for the report."""
        if len(self.available) == 1:
            return "one core, shared by server and load generator: the figures mean little"
        text = f"servers on core {self.available[0]}, load generator on core {self.available[-1]}"
        if len(self.available) == 2:
            text += "; two workers use both cores and share one with the load generator"
        return text
