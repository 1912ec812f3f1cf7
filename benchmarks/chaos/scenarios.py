"""The table of faults. Each scenario starts services, puts load on them, and says what was lost."""

import asyncio
import os
import random
import signal
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos.load import Kind, Load, Lost, Outcome
from benchmarks.chaos.service import START_S, Service, alive, free_port

CLIENTS: dict[Kind, int] = {"kept-alive": 8, "slow": 2, "fresh": 2, "upload": 2, "stream": 1}
"""Clients of a load: number by kind."""


@dataclass
class Result:
    """The findings of a scenario.

    Attributes:
        outcome: What became of the requests.
        figures: Measured values, by name.
        faults: What should not have happened; empty if the service held.
    """

    outcome: Outcome = field(default_factory=Outcome)
    figures: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def check(self, fact: object, fault: str) -> None:
        """Note a fault unless `fact` holds."""
        if not fact:
            self.faults.append(fault)

    def check_log(self, service: Service) -> None:
        """Note a traceback, and a worker that did not stop by itself, in the log of a service."""
        for sign in ("Traceback", "does not stop", "was not closed"):
            start = service.log.find(sign)
            self.check(start < 0, f"the log says: {service.log[start : start + 1500]}")

    def check_outcome(self) -> None:
        """Note lost requests, and answers that report a failure."""
        self.check(not self.outcome.lost, f"{len(self.outcome.lost)} requests were lost")
        self.check(not self.outcome.failed, f"requests failed: {self.outcome.failed}")

    def highest(self, name: str, value: float) -> None:
        """Keep the highest value of a figure."""
        self.figures[name] = max(self.figures.get(name, value), value)


@dataclass(frozen=True)
class Scenario:
    """A fault, what should happen, and the number of times `make chaos` repeats it."""

    summary: str
    run: Callable[[int], Coroutine[Any, Any, Result]]
    times: int


def stops(workers: int) -> Callable[[int], Coroutine[Any, Any, Result]]:
    """Return a scenario that stops services under load."""

    async def run(times: int) -> Result:
        result = Result()
        for _ in range(times):
            async with Service(workers=workers) as service:
                await service.ready()
                load = Load(service.url, CLIENTS)

                async def stop(service: Service = service) -> None:
                    await asyncio.sleep(random.uniform(0.3, 1.3))  # noqa: S311 - no secret
                    result.highest("stop_s", await service.stop())

                result.outcome.add(await load.during(stop))
                result.check_log(service)
        result.check_outcome()
        return result

    return run


async def restarts(times: int) -> Result:
    """Send SIGHUP to a service with two workers under load."""
    result = Result()
    async with Service(workers=2) as service:
        await service.ready()
        load = Load(service.url, CLIENTS)

        async def restart() -> None:
            for _ in range(times):
                before = set(service.workers)
                service.process.send_signal(signal.SIGHUP)
                seconds = await service.until(
                    lambda before=before: not any(map(alive, before)),  # type: ignore[misc]
                    60.0,
                )
                result.highest("restart_s", seconds)
                result.check(len(service.workers) == 2, f"{len(service.workers)} workers are left")

        result.outcome.add(await load.during(restart))
        result.check_log(service)
    result.check_outcome()
    return result


async def kills(times: int) -> Result:
    """Kill workers under load; only requests on their connections may be lost."""
    result = Result()
    async with Service(workers=2) as service:
        await service.ready()
        load = Load(service.url, CLIENTS)

        async def kill() -> None:
            for _ in range(times):
                await asyncio.sleep(1.0)
                result.highest("capacity_back_s", await _kill_one(service, load, result))
                seconds = await service.until(lambda: _least_share(service) >= 0.25, 60.0)
                result.highest("spread_again_s", seconds)

        result.outcome.add(await load.during(kill))
        result.check_log(service)
    return result


def _least_share(service: Service) -> float:
    """Return the smaller share of the connections of two workers."""
    counts = [len(service.client_ports(pid)) for pid in service.workers]
    return min(counts) / max(sum(counts), 1) if len(counts) == 2 else 0.0


async def _kill_one(service: Service, load: Load, result: Result) -> float:
    """Kill a worker, check what was lost, and return the seconds until there are two again."""
    victim = random.choice(service.workers)  # noqa: S311 - no secret
    starts, lost_before = service.starts, len(load.outcome.lost)
    os.kill(victim, signal.SIGSTOP)  # it accepts no connection while we look at its connections
    ports = service.client_ports(victim)
    os.kill(victim, signal.SIGKILL)
    seconds = await service.until(lambda: service.starts > starts, 60.0)
    _check_lost(load.outcome.lost[lost_before:], ports, result)
    return seconds


def _check_lost(lost: list[Lost], ports: set[int], result: Result) -> None:
    """Note a fault if a request was lost on a connection of another worker."""
    others = [each for each in lost if each.port not in ports]
    result.check(not others, f"requests of other workers were lost: {others}")


async def hangs(times: int) -> Result:
    """Suspend workers under load; the heartbeat notices, and only their requests are lost."""
    result = Result()
    async with Service(workers=2, ZSERVE_HEARTBEAT_TIMEOUT_S="3") as service:
        await service.ready()
        load = Load(service.url, CLIENTS)

        async def hang() -> None:
            for _ in range(times):
                await asyncio.sleep(1.0)
                victim = random.choice(service.workers)  # noqa: S311 - no secret
                starts, lost_before = service.starts, len(load.outcome.lost)
                os.kill(victim, signal.SIGSTOP)
                ports = service.client_ports(victim)
                seconds = await service.until(
                    lambda starts=starts: service.starts > starts,  # type: ignore[misc]
                    60.0,
                )
                result.highest("replaced_after_s", seconds)
                result.check(not alive(victim), "the hanging worker was not ended")
                _check_lost(load.outcome.lost[lost_before:], ports, result)

        result.outcome.add(await load.during(hang))
        result.check_log(service)
    return result


async def supervisor_kills(times: int) -> Result:
    """Kill the supervisor under load; workers answer what was sent, and leave no folder."""
    result = Result()
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            async with Service(workers=2, TMPDIR=folder) as service:
                await service.ready()
                workers = service.workers
                load = Load(service.url, CLIENTS)

                async def kill(service: Service = service, workers: list[int] = workers) -> None:
                    await asyncio.sleep(0.5)
                    service.process.kill()
                    seconds = await service.until(lambda: not any(map(alive, workers)), 60.0)
                    result.highest("workers_end_s", seconds)

                result.outcome.add(await load.during(kill))
                result.check(not _metrics_folders(folder), "a folder with metrics is left")
                result.check_log(service)
    result.check_outcome()
    return result


def _metrics_folders(folder: str) -> list[Path]:
    return list(Path(folder).glob("zserve-metrics-*"))


async def blocked_stderr(times: int) -> Result:
    """Serve with a stderr that nobody reads."""
    result = Result()
    for workers in [1, 2] * times:
        reading, writing = os.pipe()
        try:
            async with Service(workers=workers, stderr=writing, port=free_port()) as service:
                await service.until(service.connectable, START_S)
                load = Load(service.url, {"kept-alive": 8})

                async def serve(service: Service = service, load: Load = load) -> None:
                    goal = load.outcome.answered + 4000
                    await service.until(lambda: load.outcome.answered >= goal, 120.0)
                    result.highest("stop_s", await service.stop())

                result.outcome.add(await load.during(serve))
        finally:
            os.close(reading)
            os.close(writing)
    result.check_outcome()
    return result


SCENARIOS = {
    "stops-1": Scenario("SIGTERM under load, 1 worker: no request is lost", stops(1), 100),
    "stops-2": Scenario("SIGTERM under load, 2 workers: no request is lost", stops(2), 100),
    "restarts": Scenario("SIGHUP under load: no request is lost", restarts, 20),
    "kills": Scenario("kill -9 of workers: only their requests are lost", kills, 50),
    "hangs": Scenario("SIGSTOP of workers: they are replaced", hangs, 5),
    "supervisor-kills": Scenario(
        "kill -9 of the supervisor: nothing is left", supervisor_kills, 10
    ),
    "blocked-stderr": Scenario("nobody reads stderr: the service goes on", blocked_stderr, 3),
}
"""Scenarios by name."""
