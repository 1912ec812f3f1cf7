"""Start a server, check its answers, and run one load on it."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.expected_png import ExpectedPng, WrongAnswerError, check_png
from benchmarks.serving.exported_models import ExportedModels
from benchmarks.serving.load_points import LoadPoint
from benchmarks.serving.plan import Cores
from benchmarks.serving.processes import ServerProcess, free_port, started
from benchmarks.serving.servers import PEERS, Launch, Server, Settings
from benchmarks.serving.wrk import Load, run_wrk

SEEDED = "/generate?n=16&seed=7"
NETWORK_ONLY_WITHIN_S = 60
"""Longest time of the loop without a server (s), in addition to its measured time."""


@dataclass(frozen=True)
class Bench:
    """The models, temporary folder and cores of a run."""

    models: ExportedModels
    scratch: Path
    cores: Cores

    @contextlib.contextmanager
    def started(self, server: Server, model: str, settings: Settings) -> Iterator[ServerProcess]:
        """Start a server, and stop it at the end of the block."""
        launch = Launch(self.models, model, free_port(), settings, self.scratch)
        with started(
            server.command(launch),
            port=launch.port,
            cores=self.cores.server(server.workers),
            variables=server.environment_variables(launch),
            folder=server.folder,
            log=self.scratch / f"server-{launch.port}.log",
            first=("POST", "/generate?n=1", server.body(1)),
        ) as process:
            yield process

    def load(
        self, server: Server, process: ServerProcess, point: LoadPoint, duration_s: float
    ) -> Load:
        """Send unseeded requests to a server."""
        body = server.body(point.n)
        return run_wrk(
            process.url(f"/generate?n={point.n}"),
            connections=point.connections,
            duration_s=duration_s,
            cores=self.cores.load,
            expected=ExpectedPng(point.n),
            variables={"WRK_BODY": body.decode() if body else ""},
        )

    def load_not_modified(
        self, process: ServerProcess, point: LoadPoint, etag: str, duration_s: float
    ) -> Load:
        """Send conditional requests, which are all answered with 304."""
        return run_wrk(
            process.url(SEEDED),
            connections=point.connections,
            duration_s=duration_s,
            cores=self.cores.load,
            expected=ExpectedPng(point.n),
            variables={"WRK_METHOD": "GET", "WRK_ETAG": etag},
            status=304,
        )

    def network_only_rate(self, textbook: Server, model: str, duration_s: float) -> float:
        """Return calls per second of the network in a loop, in the environment of `textbook`.

        It runs on the core of the servers. Raises SubprocessError.
        """
        launch = Launch(self.models, model, 0, {}, self.scratch)
        variables = textbook.environment_variables(launch) | {"LOOP_SECONDS": str(duration_s)}
        finished = subprocess.run(
            [str(textbook.interpreter), "network_only.py"],
            cwd=PEERS,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=True,
            timeout=NETWORK_ONLY_WITHIN_S + duration_s,
            preexec_fn=lambda: os.sched_setaffinity(0, self.cores.server(1)),
        )
        return float(finished.stdout)


def check_answers(server: Server, process: ServerProcess, n: int) -> None:
    """Check two answers; unless the server sends constant PNGs, they must differ."""
    answers = [process.request("POST", f"/generate?n={n}", server.body(n)) for _ in range(2)]
    for answer in answers:
        if answer.status != 200:
            raise WrongAnswerError(f"n={n}: status {answer.status}: {answer.body[:200]!r}")
        check_png(answer.body, ExpectedPng(n))
    if server.decodes and answers[0].body == answers[1].body:
        raise WrongAnswerError(f"n={n}: two unseeded answers are identical")


def usable_etag(process: ServerProcess) -> str | None:
    """Return the ETag of a seeded GET if the server answers 304 to it, else None."""
    etag = process.request("GET", SEEDED).headers.get("etag")
    if etag and process.request("GET", SEEDED, etag=etag).status == 304:
        return etag
    return None
