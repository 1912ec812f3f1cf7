"""A compared server: how it is started and checked; zserve's variants and the baseline."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.environments import ROOT, python
from benchmarks.serving.exported_models import ExportedModels
from benchmarks.serving.load_points import N1_C32, N16_C32, LoadPoint
from benchmarks.serving.processes import HOST, ServerProcess
from benchmarks.serving.results import ZSERVE

PEERS = Path(__file__).parent / "peers"
Settings = Mapping[str, Any]

BASELINE = "baseline"
ZSERVE_2, UNBATCHED = "zserve, 2 workers", "zserve, batching off"
NO_TELEMETRY, REQUEST_LOG = "zserve, no telemetry", "zserve, request log"


class CheckoutError(Exception):
    """The folder given as baseline is not an installed checkout of zserve."""


@dataclass(frozen=True)
class Launch:
    """Parameters of one start of a server."""

    models: ExportedModels
    model: str
    port: int
    settings: Settings
    scratch: Path


@dataclass(frozen=True)
class FastMode:
    """Check that a server runs in its fast mode, by means of a measured load."""

    prepare: Callable[[ServerProcess], None]
    """Called before the load."""
    fault: Callable[[ServerProcess], str | None]
    """Called after the load; returns why the fast mode was not in use, or None if it was."""


@dataclass(frozen=True, eq=False)
class Server:
    """One server of the comparison."""

    name: str
    environment: str
    """Folder under .venv-bench, or BASELINE, which has an environment of its own."""
    command: Callable[[Launch], list[str]]
    note: str
    """Description for the report."""
    grid: tuple[Settings, ...] = ({},)
    """Settings to try; the fastest are used."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables; `{scratch}` stands for a temporary folder."""
    setting_variables: Mapping[str, str] = field(default_factory=dict)
    """Setting -> environment variable that passes it to the server."""
    json_body: bool = False
    """True if `n` is sent in a JSON body in addition to the query."""
    workers: int = 1
    decodes: bool = True
    """False if the server answers with constant PNGs."""
    points: tuple[LoadPoint, ...] | None = None
    """The only load points of a variant of zserve, with the MLP alone; None for all points."""
    checkout: Path | None = None
    """For zserve and the baseline: the checkout that is run."""
    fast_mode: FastMode | None = None
    """No ratio to the server is reported unless this check confirms its fast mode."""

    @property
    def interpreter(self) -> Path:
        """Path of the server's Python interpreter."""
        if self.environment == BASELINE and self.checkout:
            return self.checkout / ".venv" / "bin" / "python"
        return python(self.environment)

    @property
    def folder(self) -> Path:
        """Working directory: the server's checkout, or the folder of the peers' scripts."""
        return self.checkout or PEERS

    @property
    def seeded(self) -> bool:
        """True if the server answers seeded GET requests with an ETag."""
        return self.name in {ZSERVE, BASELINE}

    def body(self, n: int) -> bytes | None:
        """Return the body of POST /generate?n=<n>."""
        return json.dumps({"n": n}).encode() if self.json_body else None

    def environment_variables(self, launch: Launch) -> dict[str, str]:
        """Return the environment variables of the process, besides those that it inherits."""
        common = {
            "PATH": f"{self.interpreter.parent}{os.pathsep}{os.environ['PATH']}",
            "PORT": str(launch.port),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "TMPDIR": str(launch.scratch),
        }
        own = {name: value.format(scratch=launch.scratch) for name, value in self.variables.items()}
        if self.checkout:
            return common | own
        settings = {
            variable: str(launch.settings[name])
            for name, variable in self.setting_variables.items()
            if name in launch.settings
        }
        peer = {
            "PYTHONPATH": str(_folder_with_model_store(launch.scratch)),
            "MODEL": str(launch.models.folder(launch.model)),
            "PNGS": str(launch.models.pngs),
            "SETTINGS": json.dumps(dict(launch.settings)),
        }
        return common | peer | own | settings


def describe(settings: Settings) -> str:
    """Return settings as text."""
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or "defaults"


def _folder_with_model_store(scratch: Path) -> Path:
    """Return a folder that has the package model_store only, so that peers cannot import app."""
    folder = scratch / "path"
    folder.mkdir(exist_ok=True)
    link = folder / "model_store"
    if not link.is_symlink():
        link.symlink_to(ROOT / "model_store")
    return folder


_NO_LIMITS = {
    "ZSERVE_QUEUE_BYTES": "10000000000",
    "ZSERVE_REQUEST_TIMEOUT_S": "60",
    "ZSERVE_TARGET_WAIT_S": "60",
    "ZSERVE_DEVICE": "cpu",
}
"""Queue limits as high as the peers': 256 connections with n=256 are 65,536 images."""


def _zserve(
    name: str = ZSERVE,
    note: str = "python -m app, log level warning like the others, queue and timeout raised",
    *,
    environment: str = "zserve",
    checkout: Path = ROOT,
    workers: int = 1,
    log_level: str = "warning",
    variables: Mapping[str, str] | None = None,
    limits: Mapping[str, str] = _NO_LIMITS,
    points: tuple[LoadPoint, ...] | None = None,
) -> Server:
    """Return a server that runs `python -m app` in a checkout."""

    def command(launch: Launch) -> list[str]:
        options = ["--host", HOST, "--port", str(launch.port), "--log-level", log_level]
        options += ["--store", str(launch.models.store), "--model", launch.model]
        if workers > 1:
            options += ["--workers", str(workers)]
        return [str(server.interpreter), "-m", "app", *options]

    server = Server(
        name,
        environment,
        command,
        note,
        variables={**limits, **(variables or {})},
        workers=workers,
        points=points,
        checkout=checkout,
    )
    return server


def baseline_server(checkout: Path) -> Server:
    """Return the server of another checkout, which runs in that checkout's own `.venv`."""
    server = _zserve(
        BASELINE,
        "python -m app of the checkout given by --baseline, settings as zserve's",
        environment=BASELINE,
        checkout=checkout.resolve(),
    )
    if not (server.folder / "app").is_dir():
        raise CheckoutError(f"{checkout} is not a checkout of zserve: it has no folder app")
    if not server.interpreter.exists():
        raise CheckoutError(
            f"{checkout} has no .venv: run `make .venv/.installed-serve` in that folder"
        )
    return server


OWN_SERVERS = (
    _zserve(),
    _zserve(ZSERVE_2, "--workers 2", workers=2),
    _zserve(
        UNBATCHED,
        "ZSERVE_BATCH_REQUESTS=1",
        variables={"ZSERVE_BATCH_REQUESTS": "1"},
        points=(N1_C32, N16_C32),
    ),
    _zserve(
        NO_TELEMETRY,
        "ZSERVE_TELEMETRY=false and no log of requests",
        variables={"ZSERVE_TELEMETRY": "false", "ZSERVE_LOG_REQUESTS": "false"},
        points=(N16_C32,),
    ),
    _zserve(REQUEST_LOG, "log level info, the default", log_level="info", points=(N16_C32,)),
)

OVERLOADED = _zserve(
    note="python -m app, log level warning, limits as by default",
    limits={"ZSERVE_DEVICE": "cpu"},
)
