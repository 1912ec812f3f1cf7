"""The measurement: which loads, in which order, on which cores; every server checked first.

All servers of a model are up together, and each load goes around them within seconds, so that
whatever else the machine does falls on all of them. Those that have not their turn are stopped by
a signal: waiting, some of them poll. A server that still computes after its clients have gone is
waited for, before the next one has its turn.
"""

import contextlib
import http.client
import io
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.serving.answers import Expected, WrongAnswerError, check_png
from benchmarks.serving.criteria import BUSY, chosen
from benchmarks.serving.environments import python
from benchmarks.serving.load import Load, run_wrk
from benchmarks.serving.models import LAB, Models, pillow_png
from benchmarks.serving.process import Running, ServerError, free_port, started
from benchmarks.serving.results import NOT_MODIFIED, Cell, Loop, Results, Sample, Start
from benchmarks.serving.servers import PEERS, TEXTBOOK, ZSERVE, Launch, Server, Settings

SEEDED = "/generate?n=16&seed=7"
LOOP_WITHIN_S = 60
TROUBLES = (ServerError, WrongAnswerError, OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long."""

    servers: tuple[Server, ...]
    models: tuple[str, ...]
    cells: tuple[Cell, ...]
    corners: tuple[Cell, ...]
    """Measured with the MLP in the last round alone: the heaviest leaves the longest queues."""
    rounds: int
    duration_s: int
    tuned_settings: int | None

    def cells_in(self, number: int, model: str = LAB) -> tuple[Cell, ...]:
        """The loads of a round, light ones first."""
        cells = self.cells + (self.corners if number == self.rounds - 1 and model == LAB else ())
        return tuple(sorted(cells, key=lambda cell: cell.n * cell.connections))

    def duration_of(self, cell: Cell) -> int:
        """Seconds; more where a request is large and a server answers few in a second."""
        return self.duration_s * (2 if cell.n > 16 else 1)

    def takes(self, server: Server, model: str, cell: Cell) -> bool:
        """Whether a server has this load."""
        if server.cells is not None and cell not in server.cells:
            return False
        return model == LAB or (server.decodes and server.cells is None)

    def servers_of(self, model: str) -> tuple[Server, ...]:
        """Those that have any load with this model."""
        return tuple(
            server
            for server in self.servers
            if any(self.takes(server, model, cell) for cell in self.cells)
        )

    def estimate_s(self) -> float:
        """How long all of it takes on an idle machine."""
        starts = {"ray": 20.0, "bentoml": 12.0, "litserve": 10.0}
        total = 0.0
        for server in self.servers:
            start = starts.get(server.environment, 6.0)
            tried = server.grid[: self.tuned_settings]
            total += len(tried) * (start + self.duration_s + 2) if len(tried) > 1 else 0
            for model in self.models:
                cells = [
                    cell
                    for number in range(self.rounds)
                    for cell in self.cells_in(number, model)
                    if self.takes(server, model, cell)
                ]
                total += start if cells else 0
                total += sum(self.duration_of(cell) + 0.5 for cell in cells)
                total += sum(cell.n * cell.connections / 10_000 for cell in cells)  # to settle
        return total + self.rounds * (10 + len(self.models) * (self.duration_s + 3))


@dataclass(frozen=True)
class Cores:
    """Server and load generator on different cores, where the machine has them."""

    available: tuple[int, ...]

    @property
    def load(self) -> set[int]:
        """The last core."""
        return {self.available[-1]}

    def server(self, workers: int) -> set[int]:
        """The first cores, one a worker."""
        return set(self.available[:workers])

    def described(self) -> str:
        """In words, for the report."""
        if len(self.available) == 1:
            return "one core, shared by server and load generator: the figures mean little"
        text = f"servers on core {self.available[0]}, load generator on core {self.available[-1]}"
        if len(self.available) == 2:
            text += "; two workers use both cores and share one with the load generator"
        return text


@dataclass
class Up:
    """A server that runs, and what stops it."""

    server: Server
    running: Running
    stack: contextlib.ExitStack
    failed: set[Cell] = field(default_factory=set)


class Runner:
    """Runs a plan and fills in the results."""

    def __init__(self, plan: Plan, models: Models, scratch: Path, results: Results) -> None:
        self.plan = plan
        self.models = models
        self.scratch = scratch
        self.results = results
        self.cores = Cores(tuple(sorted(os.sched_getaffinity(0))))
        self.etag: str | None = None
        os.sched_setaffinity(0, self.cores.load)

    def run(self, save: Callable[[], object]) -> None:
        """Everything; `save` is called after each round."""
        best = {server: self._best_settings(server) for server in self.plan.servers}
        for model in self.plan.models:
            with contextlib.ExitStack() as stack:
                up = []
                for server in self.plan.servers_of(model):
                    settings = best[server]
                    if settings is not None:
                        up += self._bring_up(server, model, settings, stack)
                for number in range(self.plan.rounds):
                    self._round(number, model, up)
                    save()
        self._start_again()
        save()

    # --- before: the best of a server's settings ---

    def _best_settings(self, server: Server) -> Settings | None:
        """Of those that work, with the MLP; None where none does."""
        grid = server.grid[: self.plan.tuned_settings]
        if len(grid) == 1:
            return grid[0]
        tried: list[tuple[float, Settings]] = []
        for settings in grid:
            say(f"trying {server.name}: {chosen(settings)}")
            try:
                with self._started(server, LAB, settings) as running:
                    _check(server, running, 16)
                    self._load(server, running, BUSY, duration_s=1)  # batchers learn how long
                    rate = self._load(server, running, BUSY).requests_per_s
            except TROUBLES as error:
                self._note(f"{server.name} with {chosen(settings)} failed", error)
                continue
            say(f"    {rate:,.1f}/s")
            tried.append((rate, settings))
        if not tried:
            self.results.left_out[server.name] = "no settings of it worked, see the notes"
            return None
        self.results.tuning[server.name] = {chosen(s): rate for rate, s in tried}
        return max(tried, key=lambda pair: pair[0])[1]

    # --- the servers of a model ---

    def _bring_up(
        self, server: Server, model: str, settings: Settings, stack: contextlib.ExitStack
    ) -> list[Up]:
        """Start it, check an answer of each size, warm it; nothing where that fails."""
        say(f"{model}: starting {server.name} ({chosen(settings)})")
        own = stack.enter_context(contextlib.ExitStack())
        try:
            running = own.enter_context(self._started(server, model, settings))
            for n in sorted({cell.n for cell in self.plan.cells}):
                _check(server, running, n)
            if server.name == ZSERVE and model == LAB:
                self._look_for_etags(running)
                self._compare_pngs(running)
            self._load(server, running, BUSY, duration_s=1)
            running.settle()
        except TROUBLES as error:
            own.close()
            self._note(f"{server.name}, {model}: left out", error)
            self.results.left_out.setdefault(server.name, "it did not work, see the notes")
            return []
        say(f"    ready after {running.ready_s:.1f} s")
        self.results.servers[server.name] = server.note
        self.results.chosen[server.name] = settings
        running.pause()
        return [Up(server, running, own)]

    def _look_for_etags(self, running: Running) -> None:
        etag = running.ask("GET", SEEDED).headers.get("etag")
        if etag and running.ask("GET", SEEDED, etag=etag).status == 304:
            self.etag = etag
            return
        self.results.notes.append("304 answers are not offered: a seeded GET has no usable ETag")

    def _compare_pngs(self, running: Running) -> None:
        """Bytes of zserve's PNGs against Pillow's default for the same pixels, n = 16."""
        for seed in range(0, 512, 16):
            bare, told = (
                running.ask("GET", f"/generate?n=16&seed={seed}&metadata={shown}").body
                for shown in ("false", "true")
            )
            with Image.open(io.BytesIO(bare)) as image:
                pillow = len(pillow_png(np.asarray(image)))
            self.results.png_ratio.append(len(bare) / pillow)
            self.results.told_png_ratio.append(len(told) / pillow)

    # --- the rounds ---

    def _round(self, number: int, model: str, up: list[Up]) -> None:
        """Each load around all servers; who begins moves on by one each round."""
        for cell in self.plan.cells_in(number, model):
            say(
                f"{model}, round {number + 1} of {self.plan.rounds}: "
                f"n={cell.n}, {cell.connections} connections"
            )
            turn = number % max(1, len(up))
            for one in up[turn:] + up[:turn]:
                if cell not in one.failed and self.plan.takes(one.server, model, cell):
                    with one.running.awake():
                        self._measure(number, model, one, cell, up)
            if cell == BUSY:
                self._loop(number, model)

    def _measure(self, number: int, model: str, one: Up, cell: Cell, up: list[Up]) -> None:
        """One load; a load that failed is not tried again, who does not come to rest is stopped."""
        server, running = one.server, one.running
        try:
            before = running.cpu_s()
            load = self._load(server, running, cell)
            self._record(number, model, server, cell, load, cpu_s=running.cpu_s() - before)
            if cell == BUSY and number == 0:
                self._weigh(number, model, server, running)
            if cell == BUSY and server.name == ZSERVE and model == LAB and self.etag:
                before = running.cpu_s()
                load = self._not_modified(running, self.etag)
                spent = running.cpu_s() - before
                self._record(number, model, server, Cell(NOT_MODIFIED, 32), load, cpu_s=spent)
        except TROUBLES as error:
            one.failed.add(cell)
            what = f"{server.name}, {model}, n={cell.n}, {cell.connections} connections"
            self._note(f"{what}: not measured from round {number + 1} on", error)
        try:
            running.settle()
        except ServerError as error:
            self._note(f"{server.name}, {model}: stopped in round {number + 1}", error)
            up.remove(one)
            one.stack.close()

    def _start_again(self) -> None:
        """zserve alone, started, loaded and weighed once more for each round."""
        server = next(server for server in self.plan.servers if server.name == ZSERVE)
        for number in range(1, self.plan.rounds):
            say(f"start {number + 1} of {self.plan.rounds} of {server.name}")
            try:
                with self._started(server, LAB, {}) as running:
                    self._load(server, running, BUSY)
                    self._weigh(number, LAB, server, running)
            except TROUBLES as error:
                self._note(f"start {number + 1} of {server.name} failed", error)

    def _weigh(self, number: int, model: str, server: Server, running: Running) -> None:
        memory = running.memory()
        self.results.starts.append(
            Start(
                number,
                model,
                server.name,
                running.ready_s,
                memory.rss_mb,
                memory.pss_mb,
                memory.processes,
            )
        )

    def _load(
        self, server: Server, running: Running, cell: Cell, duration_s: int | None = None
    ) -> Load:
        body = server.body(cell.n)
        return run_wrk(
            running.url(f"/generate?n={cell.n}"),
            connections=cell.connections,
            duration_s=duration_s or self.plan.duration_of(cell),
            cores=self.cores.load,
            expected=Expected(cell.n),
            variables={"WRK_BODY": body.decode() if body else ""},
        )

    def _not_modified(self, running: Running, etag: str) -> Load:
        return run_wrk(
            running.url(SEEDED),
            connections=32,
            duration_s=self.plan.duration_s,
            cores=self.cores.load,
            expected=Expected(16),
            variables={"WRK_METHOD": "GET", "WRK_ETAG": etag},
            status=304,
        )

    def _record(
        self, number: int, model: str, server: Server, cell: Cell, load: Load, *, cpu_s: float
    ) -> None:
        name = f"{server.name}, 304" if cell.n == NOT_MODIFIED else server.name
        say(
            f"    {name:24} {load.requests_per_s:10,.1f}/s  p50 {load.p50_ms:9.2f} ms  "
            f"p99 {load.p99_ms:9.2f} ms  {load.checked} answers checked in full"
        )
        self.results.samples.append(
            Sample(
                number,
                model,
                server.name,
                cell.n,
                cell.connections,
                load.requests_per_s,
                load.requests,
                load.p50_ms,
                load.p99_ms,
                load.timeouts,
                load.checked,
                cpu_s * 1e3 / max(1, load.requests),
            )
        )

    def _loop(self, number: int, model: str) -> None:
        """The bare network, on the servers' core, in the torch of the textbook's environment."""
        textbook = next((s for s in self.plan.servers if s.name == TEXTBOOK), None)
        if textbook is None:
            return
        launch = Launch(self.models, model, 0, {}, self.scratch)
        environment = textbook.environ(launch) | {"SECONDS_OF_LOOP": str(self.plan.duration_s)}
        try:
            finished = subprocess.run(
                [str(python("textbook")), "loop.py"],
                cwd=PEERS,
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                check=True,
                timeout=LOOP_WITHIN_S,
                preexec_fn=lambda: os.sched_setaffinity(0, self.cores.server(1)),
            )
        except subprocess.SubprocessError as error:
            self._note("the bare loop failed", error)
            return
        rate = float(finished.stdout)
        say(f"    {'bare loop':24} {rate:10,.1f}/s")
        self.results.loops.append(Loop(number, model, rate))

    @contextlib.contextmanager
    def _started(self, server: Server, model: str, settings: Settings) -> Iterator[Running]:
        launch = Launch(self.models, model, free_port(), settings, self.scratch)
        with started(
            server.command(launch),
            port=launch.port,
            cores=self.cores.server(server.workers),
            variables=server.environ(launch),
            folder=server.folder,
            log=self.scratch / f"server-{launch.port}.log",
            first=("POST", "/generate?n=1", server.body(1)),
        ) as running:
            yield running

    def _note(self, what: str, error: Exception) -> None:
        said = " ".join(str(error).split())
        say(f"  FAILED: {what}: {said[-600:]}")
        self.results.notes.append(f"{what}: {said[:200]}")


def say(line: str) -> None:
    """Progress, at once."""
    print(line, flush=True)


def _check(server: Server, running: Running, n: int) -> None:
    """Two answers, valid and (unless they are constant) not the same."""
    answers = [running.ask("POST", f"/generate?n={n}", server.body(n)) for _ in range(2)]
    for answer in answers:
        if answer.status != 200:
            raise WrongAnswerError(f"n={n}: status {answer.status}: {answer.body[:200]!r}")
        check_png(answer.body, Expected(n))
    if server.decodes and answers[0].body == answers[1].body:
        raise WrongAnswerError(f"n={n}: two answers are the same: nothing was drawn")
