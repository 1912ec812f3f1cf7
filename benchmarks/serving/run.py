"""The measurement: which cells, in which order, on which cores; every server checked first."""

import contextlib
import http.client
import io
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.serving.answers import Expected, WrongAnswerError, check_png
from benchmarks.serving.criteria import chosen
from benchmarks.serving.environments import ROOT, python
from benchmarks.serving.load import Load, run_wrk
from benchmarks.serving.models import LAB, Models, pillow_png
from benchmarks.serving.process import Running, ServerError, free_port, started
from benchmarks.serving.results import NOT_MODIFIED, Cell, Loop, Results, Sample, Start
from benchmarks.serving.servers import (
    PEERS,
    UNBATCHED,
    ZSERVE,
    Launch,
    Server,
    Settings,
)

SEEDED = "/generate?n=16&seed=7"
TROUBLES = (ServerError, WrongAnswerError, OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long."""

    servers: tuple[Server, ...]
    models: tuple[str, ...]
    cells: tuple[Cell, ...]
    rounds: int
    duration_s: int
    tuned_settings: int | None

    def cells_of(self, server: Server) -> tuple[Cell, ...]:
        """Heavy ones last: what a server still has queued is stopped with it."""
        if server.name == UNBATCHED:
            return tuple(cell for cell in self.cells if cell == Cell(16, 32))
        return tuple(sorted(self.cells, key=lambda cell: cell.n * cell.connections))

    def duration_of(self, cell: Cell) -> int:
        """Seconds; twice as long where a request is large."""
        return self.duration_s * (2 if cell.n > 16 else 1)

    def estimate_s(self) -> float:
        """How long all of it takes on an idle machine."""
        starts = {"ray": 22.0, "bentoml": 12.0, "litserve": 10.0}
        total = 0.0
        for server in self.servers:
            start = starts.get(server.environment, 7.0)
            tried = len(server.grid[: self.tuned_settings])
            total += tried * (start + self.duration_s + 1)
            loads = sum(self.duration_of(cell) + 0.5 for cell in self.cells_of(server)) + 1
            total += self.rounds * (start + loads) * (len(self.models) if server.decodes else 1)
        return total + self.rounds * len(self.models) * (self.duration_s + 4)


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
        text = f"server on core {self.available[0]}, load generator on core {self.available[-1]}"
        if len(self.available) == 2:
            text += "; two workers use both cores and share one with the load generator"
        return text


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

    # --- before: every server answers rightly, at its best settings ---

    def prepare(self) -> tuple[Server, ...]:
        """Try the settings of each server, check its answers, and return those that work."""
        working = []
        for server in self.plan.servers:
            tried: dict[str, float] = {}
            best: tuple[float, Settings] = (-1.0, {})
            for settings in server.grid[: self.plan.tuned_settings]:
                say(f"trying {server.name}: {chosen(settings)}")
                try:
                    rate = self._try(server, settings)
                except TROUBLES as error:
                    reason = " ".join(str(error).split())
                    say(f"  FAILED: {reason[-300:]}")
                    self.results.notes.append(
                        f"{server.name} with {chosen(settings)} failed: {reason[:300]}"
                    )
                    continue
                tried[chosen(settings)] = rate
                best = max(best, (rate, settings), key=lambda pair: pair[0])
            if not tried:
                self.results.left_out[server.name] = "no settings of it worked, see the notes"
                continue
            self.results.tuning[server.name] = tried
            self.results.chosen[server.name] = best[1]
            self.results.servers[server.name] = server.note
            working.append(replace(server, grid=(best[1],)))
        return tuple(working)

    def _try(self, server: Server, settings: Settings) -> float:
        with self._started(server, LAB, settings) as running:
            for n in sorted({cell.n for cell in self.plan.cells}):
                _check(server, running, n)
            if server.name == ZSERVE:
                self._look_for_etags(running)
                self._compare_pngs(running)
            return self._load(server, running, Cell(16, 32)).requests_per_s

    def _look_for_etags(self, running: Running) -> None:
        etag = running.ask("GET", SEEDED).headers.get("etag")
        if etag and running.ask("GET", SEEDED, etag=etag).status == 304:
            self.etag = etag
            return
        self.results.notes.append("304 answers are not offered: a seeded GET has no usable ETag")

    def _compare_pngs(self, running: Running) -> None:
        """Bytes of zserve's PNGs against Pillow's default for the same pixels, n = 16."""
        for seed in range(0, 512, 16):
            png = running.ask("GET", f"/generate?n=16&seed={seed}&metadata=false").body
            with Image.open(io.BytesIO(png)) as image:
                pixels = np.asarray(image)
            self.results.png_ratio.append(len(png) / len(pillow_png(pixels)))

    # --- the rounds ---

    def run(self, servers: tuple[Server, ...], save: Callable[[], object]) -> None:
        """All rounds; the order of the servers moves on by one each round."""
        for number in range(self.plan.rounds):
            for model in self.plan.models:
                turn = number % max(1, len(servers))
                for server in servers[turn:] + servers[:turn]:
                    if server.decodes or model == LAB:
                        self._measure(number, model, server)
                self._loop(number, model)
            save()

    def _measure(self, number: int, model: str, server: Server) -> None:
        say(f"round {number + 1}/{self.plan.rounds}  {model}  {server.name}")
        (settings,) = server.grid
        try:
            with self._started(server, model, settings) as running:
                self._warm(server, running)
                weighed = False
                for cell in self.plan.cells_of(server):
                    if cell.n * cell.connections > 16 * 32 and not weighed:
                        self._weigh(number, model, server, running)
                        weighed = True
                    self._record(number, model, server, cell, self._load(server, running, cell))
                    self._wait_until_idle(server, running)
                if not weighed:
                    self._weigh(number, model, server, running)
                if server.name == ZSERVE and model == LAB and self.etag:
                    load = self._not_modified(running, self.etag)
                    self._record(number, model, server, Cell(NOT_MODIFIED, 32), load)
        except TROUBLES as error:
            reason = " ".join(str(error).split())[:300]
            say(f"  FAILED: {reason}")
            self.results.notes.append(
                f"{server.name}, {model}, round {number + 1}: cut short: {reason}"
            )

    def _warm(self, server: Server, running: Running) -> None:
        _check(server, running, 16)
        self._load(server, running, Cell(16, 32), duration_s=1)

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

    def _wait_until_idle(self, server: Server, running: Running) -> None:
        """Until what the last load left behind is computed: one answer, quickly."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            began = time.perf_counter()
            with contextlib.suppress(TimeoutError):
                running.ask("POST", "/generate?n=1", server.body(1), timeout_s=20)
                if time.perf_counter() - began < 0.1:
                    return

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

    def _record(self, number: int, model: str, server: Server, cell: Cell, load: Load) -> None:
        say(
            f"    n={cell.n:<4} connections={cell.connections:<4} "
            f"{load.requests_per_s:10,.1f}/s  p50 {load.p50_ms:9.2f} ms  "
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
            )
        )

    def _loop(self, number: int, model: str) -> None:
        """The bare network, on the server's core, in zserve's torch."""
        say(f"round {number + 1}/{self.plan.rounds}  {model}  bare loop")
        launch = Launch(self.models, model, 0, {}, self.scratch)
        textbook = next((s for s in self.plan.servers if s.environment == "textbook"), None)
        if textbook is None:
            return
        environment = textbook.environ(launch) | {"SECONDS_OF_LOOP": str(self.plan.duration_s)}
        finished = subprocess.run(
            [str(python("textbook")), "loop.py"],
            cwd=PEERS,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            preexec_fn=lambda: os.sched_setaffinity(0, self.cores.server(1)),
        )
        if finished.returncode != 0:
            self.results.notes.append(f"the bare loop failed: {finished.stderr[-300:]}")
            return
        rate = float(finished.stdout)
        say(f"    {rate:,.1f} calls/s of n=16")
        self.results.loops.append(Loop(number, model, rate))

    @contextmanager
    def _started(self, server: Server, model: str, settings: Settings) -> Iterator[Running]:
        launch = Launch(self.models, model, free_port(), settings, self.scratch)
        with started(
            server.command(launch),
            port=launch.port,
            cores=self.cores.server(server.workers),
            variables=server.environ(launch),
            folder=server.folder,
            log=self.scratch / "server.log",
            first=("POST", "/generate?n=1", server.body(1)),
        ) as running:
            yield running


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


def zserve_offers() -> tuple[bool, dict[str, str]]:
    """Whether `--workers` exists, and the variable that switches batching off, if there is one."""
    question = [str(python("zserve")), "-m", "app", "--help"]
    shown = subprocess.run(question, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    fields = (
        "import json; from app.settings import Settings; "
        "print(json.dumps({n: str(f.annotation) for n, f in Settings.model_fields.items()}))"
    )
    listed = subprocess.run(
        [str(python("zserve")), "-c", fields], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    names: dict[str, str] = json.loads(listed) if listed.strip() else {}
    off = {}
    for name, kind in names.items():
        if name in {"batching", "batch"} and "bool" in kind:
            off = {f"ZSERVE_{name.upper()}": "false"}
        elif name in {"max_batch", "max_batch_requests", "batch_requests"}:
            off = {f"ZSERVE_{name.upper()}": "1"}
    return "--workers" in shown, off
