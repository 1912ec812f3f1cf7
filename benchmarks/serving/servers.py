"""The servers that are compared: how each is started, and which of its settings are tried."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.environments import FOLDER, ROOT, python
from benchmarks.serving.models import Models
from benchmarks.serving.process import HOST
from benchmarks.serving.results import Cell

PEERS = Path(__file__).parent / "peers"
Settings = Mapping[str, Any]

ZSERVE, ZSERVE_2, UNBATCHED = "zserve", "zserve, 2 workers", "zserve, batching off"
UNTOLD, LOGGED = "zserve, no telemetry", "zserve, a log line each"
TEXTBOOK, LITSERVE, BENTOML, MOSEC, RAY = "FastAPI", "LitServe", "BentoML", "mosec", "Ray Serve"
CONSTANT, BARE = "constant PNG, FastAPI", "constant PNG, bare ASGI"


@dataclass(frozen=True)
class Launch:
    """What a start needs to know."""

    models: Models
    model: str
    port: int
    settings: Settings
    scratch: Path


@dataclass(frozen=True, eq=False)
class Server:
    """One row of the comparison."""

    name: str
    environment: str
    command: Callable[[Launch], list[str]]
    note: str
    grid: tuple[Settings, ...] = ({},)
    variables: Mapping[str, str] = field(default_factory=dict)
    json_body: bool = False
    workers: int = 1
    decodes: bool = True
    cells: tuple[Cell, ...] | None = None
    """Of a variant: it has these loads alone, and with the MLP alone."""

    @property
    def folder(self) -> Path:
        """Where it is started: the checkout for zserve, the folder of its script for a peer."""
        return ROOT if self.environment == "zserve" else PEERS

    def body(self, n: int) -> bytes | None:
        """Body of POST /generate?n=."""
        return json.dumps({"n": n}).encode() if self.json_body else None

    def environ(self, launch: Launch) -> dict[str, str]:
        """What its process is told by variables."""
        bin_folder = str(python(self.environment).parent)
        common = {
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "PORT": str(launch.port),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "TMPDIR": str(launch.scratch),
        }
        if self.environment == "zserve":
            return common | dict(self.variables)
        return common | {
            "PYTHONPATH": str(_only_model_store(launch.scratch)),
            "MODEL": str(launch.models.exported(launch.model)),
            "PNGS": str(launch.models.pngs),
            "SETTINGS": json.dumps(dict(launch.settings)),
            **self.variables,
        }


def _only_model_store(scratch: Path) -> Path:
    """A folder with the package model_store alone: a peer cannot import zserve's server."""
    folder = scratch / "path"
    folder.mkdir(exist_ok=True)
    link = folder / "model_store"
    if not link.is_symlink():
        link.symlink_to(ROOT / "model_store")
    return folder


# --- zserve ------------------------------------------------------------------------------------

_NO_LIMITS = {
    "ZSERVE_QUEUE_IMAGES": "1000000",
    "ZSERVE_REQUEST_TIMEOUT_S": "60",
    "ZSERVE_DEVICE": "cpu",
}
"""As the peers, which queue what comes: 256 connections with n=256 are 65,536 images."""


def _zserve(
    name: str = ZSERVE,
    note: str = "python -m app, log level warning as the others, queue and timeout raised",
    *,
    workers: int = 1,
    log_level: str = "warning",
    variables: Mapping[str, str] | None = None,
    cells: tuple[Cell, ...] | None = None,
) -> Server:
    """The server of this repository."""

    def command(launch: Launch) -> list[str]:
        options = ["--host", HOST, "--port", str(launch.port), "--log-level", log_level]
        options += ["--store", str(launch.models.store), "--model", launch.model]
        if workers > 1:
            options += ["--workers", str(workers)]
        return [str(python("zserve")), "-m", "app", *options]

    return Server(
        name,
        "zserve",
        command,
        note,
        variables=_NO_LIMITS | dict(variables or {}),
        workers=workers,
        cells=cells,
    )


OWN_SERVERS = (
    _zserve(),
    _zserve(ZSERVE_2, "--workers 2", workers=2),
    _zserve(
        UNBATCHED,
        "ZSERVE_BATCH_REQUESTS=1",
        variables={"ZSERVE_BATCH_REQUESTS": "1"},
        cells=(Cell(1, 32), Cell(16, 32)),
    ),
    _zserve(
        UNTOLD,
        "ZSERVE_TELEMETRY=false and no log of requests",
        variables={"ZSERVE_TELEMETRY": "false", "ZSERVE_LOG_REQUESTS": "false"},
        cells=(Cell(16, 32),),
    ),
    _zserve(LOGGED, "log level info, as it comes", log_level="info", cells=(Cell(16, 32),)),
)


# --- peers -------------------------------------------------------------------------------------


def _script(environment: str, *words: str) -> Callable[[Launch], list[str]]:
    """`python <script>` in the environment; {port} is filled in."""

    def command(launch: Launch) -> list[str]:
        return [str(python(environment)), *(w.format(port=launch.port) for w in words)]

    return command


def _bentoml(launch: Launch) -> list[str]:
    program = str(python("bentoml").parent / "bentoml")
    return [program, "serve", "with_bentoml:Generate", "--host", HOST, "--port", str(launch.port)]


PEER_SERVERS = (
    Server(
        TEXTBOOK,
        "textbook",
        _script("textbook", "textbook.py"),
        "a plain `def` route, torch decode, torchvision's save_image",
    ),
    Server(
        LITSERVE,
        "litserve",
        _script("litserve", "with_litserve.py"),
        "LitAPI, the best of its grid",
        grid=(
            {"max_batch_size": 32, "batch_timeout": 0.01},
            {"max_batch_size": 8, "batch_timeout": 0.002},
            {},
            {"workers": 2},
        ),
        json_body=True,
    ),
    Server(
        BENTOML,
        "bentoml",
        _bentoml,
        "bentoml serve, the best of its grid",
        grid=(
            {},
            {"max_batch_size": 32, "max_latency_ms": 10_000},
            {"workers": 2},
        ),
        variables={
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(FOLDER / "bentoml-home"),
        },
        json_body=True,
    ),
    Server(
        MOSEC,
        "mosec",
        _script(
            "mosec",
            "with_mosec.py",
            "--port",
            "{port}",
            "--address",
            HOST,
            "--log-level",
            "warning",
        ),
        "one worker process, the best of its grid",
        grid=(
            {"max_batch_size": 32, "max_wait_ms": 10},
            {"max_batch_size": 8, "max_wait_ms": 1},
            {},
        ),
        json_body=True,
    ),
    Server(
        RAY,
        "ray",
        _script("ray", "with_ray.py"),
        "one replica behind the proxy; loopback, so without tokens",
        variables={"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"},
    ),
    Server(
        CONSTANT,
        "textbook",
        _script("textbook", "constant.py"),
        "an `async def` route, no model",
        decodes=False,
    ),
    Server(
        BARE, "textbook", _script("textbook", "bare.py"), "no framework, no model", decodes=False
    ),
)
