"""Run a plan: tune, start, check and load the servers, and collect the results.

All servers of a model run at the same time, and each load visits all of them within seconds, so
that other work on the machine affects every server. All other servers are suspended by SIGSTOP
meanwhile, because some poll while they are idle. A server that still computes after its load must
finish before the next one is loaded.
"""

import contextlib
import hashlib
import http.client
import io
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from benchmarks.serving.expected_png import WrongAnswerError
from benchmarks.serving.exported_models import LAB, pillow_png
from benchmarks.serving.load_points import N16_C32, NOT_MODIFIED, LoadPoint
from benchmarks.serving.measuring import SEEDED, Bench, check_answers, usable_etag
from benchmarks.serving.peer_servers import TEXTBOOK
from benchmarks.serving.plan import Plan
from benchmarks.serving.processes import ServerError, ServerProcess
from benchmarks.serving.results import ZSERVE, Measurement, NetworkOnly, Results, Startup
from benchmarks.serving.servers import Server, Settings, describe
from benchmarks.serving.wrk import Load

FAILURES = (ServerError, WrongAnswerError, OSError, http.client.HTTPException)


@dataclass
class ActiveServer:
    """A server that was started, and the stack that stops it."""

    server: Server
    process: ServerProcess
    stack: contextlib.ExitStack
    etag: str | None = None
    """ETag of the seeded request, if the server answers 304 to it."""
    failed: set[LoadPoint] = field(default_factory=set)


class Runner:
    """Runs a plan and fills in the results."""

    def __init__(self, plan: Plan, bench: Bench, results: Results) -> None:
        self.plan = plan
        self.bench = bench
        self.results = results
        self.faulty: set[str] = set()
        """Servers that were loaded at least once outside their fast mode."""
        os.sched_setaffinity(0, bench.cores.load)

    def run(self, save: Callable[[], object]) -> None:
        """Run everything; `save` is called after each round."""
        settings = {server: self._best_settings(server) for server in self.plan.servers}
        for model in self.plan.models:
            with contextlib.ExitStack() as stack:
                active: list[ActiveServer] = []
                for server in self.plan.servers_of(model):
                    best = settings[server]
                    if best is not None:
                        active += self._bring_up(server, model, best, stack)
                for number in range(self.plan.rounds):
                    self._round(number, model, active)
                    save()
        self._start_again()
        save()

    # --- tuning ---

    def _best_settings(self, server: Server) -> Settings | None:
        """Return the fastest settings of a server's grid with the MLP; None if none works."""
        grid = server.grid[: self.plan.tuned_settings]
        if len(grid) == 1:
            return grid[0]
        rates: list[tuple[float, Settings]] = []
        for settings in grid:
            log(f"trying {server.name}: {describe(settings)}")
            try:
                with self.bench.started(server, LAB, settings) as process:
                    check_answers(server, process, 16)
                    # The first load is a warm-up: adaptive batchers learn from it.
                    self.bench.load(server, process, N16_C32, duration_s=1)
                    rate = self._load(server, process, N16_C32).requests_per_s
            except FAILURES as error:
                self._note(f"{server.name} with {describe(settings)} failed", error)
                continue
            log(f"    {rate:,.1f}/s")
            rates.append((rate, settings))
        if not rates:
            self.results.left_out[server.name] = "none of its settings worked, see the notes"
            return None
        self.results.tuning[server.name] = {describe(s): rate for rate, s in rates}
        return max(rates, key=lambda pair: pair[0])[1]

    # --- starting the servers of a model ---

    def _bring_up(
        self, server: Server, model: str, settings: Settings, stack: contextlib.ExitStack
    ) -> list[ActiveServer]:
        """Start a server, check an answer of each size and warm it up; [] if that fails."""
        log(f"{model}: starting {server.name} ({describe(settings)})")
        own = stack.enter_context(contextlib.ExitStack())
        try:
            process = own.enter_context(self.bench.started(server, model, settings))
            for n in sorted({point.n for point in self.plan.points}):
                check_answers(server, process, n)
            active = ActiveServer(server, process, own)
            if server.seeded and model == LAB:
                self._check_seeded(active)
            self.bench.load(server, process, N16_C32, duration_s=1)
            process.settle()
        except FAILURES as error:
            own.close()
            self._note(f"{server.name}, {model}: left out", error)
            self.results.left_out.setdefault(server.name, "it did not work, see the notes")
            return []
        log(f"    ready after {process.ready_s:.1f} s")
        self.results.servers[server.name] = server.note
        self.results.chosen_settings[server.name] = settings
        if server.fast_mode and server.name not in self.faulty:
            self.results.unconfirmed[server.name] = "no load was checked"
        process.pause()
        return [active]

    def _check_fast_mode(self, active: ActiveServer) -> None:
        """Confirm a server's fast mode, or record for the whole run why it was not in use."""
        server = active.server
        if server.fast_mode is None or server.name in self.faulty:
            return
        fault = server.fast_mode.fault(active.process)
        if fault is None:
            self.results.unconfirmed.pop(server.name, None)
            return
        log(f"  WARNING: {server.name}: {fault}; no ratio to it will be reported")
        self.results.unconfirmed[server.name] = fault
        self.faulty.add(server.name)

    def _check_seeded(self, active: ActiveServer) -> None:
        """Look for a usable ETag, hash a seeded PNG, and compare sizes of zserve's PNGs."""
        process, name = active.process, active.server.name
        active.etag = usable_etag(process)
        if active.etag is None:
            self.results.notes.append(f"{name}: a seeded GET has no ETag that gives 304 answers")
        png = process.request("GET", f"{SEEDED}&metadata=false").body
        self.results.seeded_sha256[name] = hashlib.sha256(png).hexdigest()
        if name == ZSERVE:
            self._compare_png_sizes(process)

    def _compare_png_sizes(self, process: ServerProcess) -> None:
        """Compare zserve's PNGs with Pillow's default for the same pixels, n=16."""
        for seed in range(0, 512, 16):
            without, with_metadata = (
                process.request("GET", f"/generate?n=16&seed={seed}&metadata={metadata}").body
                for metadata in ("false", "true")
            )
            with Image.open(io.BytesIO(without)) as image:
                pillow = len(pillow_png(np.asarray(image)))
            self.results.png_ratio.append(len(without) / pillow)
            self.results.png_ratio_with_metadata.append(len(with_metadata) / pillow)

    # --- rounds ---

    def _round(self, number: int, model: str, active: list[ActiveServer]) -> None:
        """Run each load on all servers; each round begins with another server."""
        for point in self.plan.points_in(number, model):
            log(f"{model}, round {number + 1} of {self.plan.rounds}: {point}")
            turn = number % max(1, len(active))
            for one in active[turn:] + active[:turn]:
                if point not in one.failed and self.plan.includes(one.server, model, point):
                    with one.process.resumed():
                        self._measure(number, model, one, point, active)
            if point == N16_C32:
                self._measure_network_only(number, model)

    def _measure(
        self,
        number: int,
        model: str,
        one: ActiveServer,
        point: LoadPoint,
        active: list[ActiveServer],
    ) -> None:
        """Run one load. A failed load is not retried; a server that keeps computing is stopped."""
        server, process = one.server, one.process
        try:
            self._measure_load(number, model, one, point)
            if point == N16_C32 and number == 0:
                self._record_startup(number, model, server, process)
            if point == N16_C32 and one.etag:
                self._measure_load(number, model, one, NOT_MODIFIED)
        except FAILURES as error:
            one.failed.add(point)
            self._note(
                f"{server.name}, {model}, {point}: not measured from round {number + 1} on", error
            )
        try:
            process.settle()
        except ServerError as error:
            self._note(f"{server.name}, {model}: stopped in round {number + 1}", error)
            active.remove(one)
            one.stack.close()

    def _measure_load(self, number: int, model: str, one: ActiveServer, point: LoadPoint) -> None:
        server, process = one.server, one.process
        if server.fast_mode:
            server.fast_mode.prepare(process)
        before_s = process.cpu_s()
        if point == NOT_MODIFIED and one.etag:
            load = self.bench.load_not_modified(process, point, one.etag, self.plan.duration_s)
        else:
            load = self._load(server, process, point)
        cpu_s = process.cpu_s() - before_s
        self._record(number, model, server, point, load, cpu_s=cpu_s)
        self._check_fast_mode(one)

    def _start_again(self) -> None:
        """Start zserve and the baseline, if any, alone and once more for each further round."""
        servers = [server for server in self.plan.servers if server.seeded]
        for number in range(1, self.plan.rounds):
            for server in servers:
                log(f"start {number + 1} of {self.plan.rounds} of {server.name}")
                try:
                    with self.bench.started(server, LAB, {}) as process:
                        self._load(server, process, N16_C32)
                        self._record_startup(number, LAB, server, process)
                except FAILURES as error:
                    self._note(f"start {number + 1} of {server.name} failed", error)

    def _load(self, server: Server, process: ServerProcess, point: LoadPoint) -> Load:
        return self.bench.load(server, process, point, self.plan.duration_of(point))

    def _measure_network_only(self, number: int, model: str) -> None:
        textbook = next((s for s in self.plan.servers if s.name == TEXTBOOK), None)
        if textbook is None:
            return
        try:
            rate = self.bench.network_only_rate(textbook, model, self.plan.duration_s)
        except subprocess.SubprocessError as error:
            self._note("the loop of the network without a server failed", error)
            return
        log(f"    {'network only':24} {rate:10,.1f}/s")
        self.results.network_only.append(NetworkOnly(number, model, rate))

    # --- recording ---

    def _record_startup(
        self, number: int, model: str, server: Server, process: ServerProcess
    ) -> None:
        memory = process.memory()
        self.results.startups.append(
            Startup(
                number,
                model,
                server.name,
                process.ready_s,
                memory.rss_mb,
                memory.pss_mb,
                memory.processes,
            )
        )

    def _record(
        self, number: int, model: str, server: Server, point: LoadPoint, load: Load, *, cpu_s: float
    ) -> None:
        name = f"{server.name}, 304" if point == NOT_MODIFIED else server.name
        log(
            f"    {name:24} {load.requests_per_s:10,.1f}/s  p50 {load.p50_ms:9.2f} ms  "
            f"p99 {load.p99_ms:9.2f} ms  {load.checked} answers checked in full"
        )
        self.results.measurements.append(
            Measurement(
                number,
                model,
                server.name,
                point,
                load.requests_per_s,
                load.requests,
                load.p50_ms,
                load.p99_ms,
                load.timeouts,
                load.checked,
                cpu_s * 1e3 / max(1, load.requests),
            )
        )

    def _note(self, event: str, error: Exception) -> None:
        reason = " ".join(str(error).split())
        log(f"  FAILED: {event}: {reason[-600:]}")
        self.results.notes.append(f"{event}: {reason[:200]}")


def log(line: str) -> None:
    """Print a line of progress and flush it."""
    print(line, flush=True)
