"""The compared servers: how to start each one, and which of its settings to try."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving import haproxy
from benchmarks.serving.environments import FOLDER, ROOT, python
from benchmarks.serving.exported_models import ExportedModels
from benchmarks.serving.load_points import N1_C32, N16_C32, LoadPoint
from benchmarks.serving.processes import HOST, ServerProcess
from benchmarks.serving.results import ZSERVE

PEERS = Path(__file__).parent / "peers"
Settings = Mapping[str, Any]

BASELINE = "baseline"
ZSERVE_2, UNBATCHED = "zserve, 2 workers", "zserve, batching off"
NO_TELEMETRY, REQUEST_LOG = "zserve, no telemetry", "zserve, request log"
TEXTBOOK, LITSERVE, BENTOML, MOSEC, RAY = "FastAPI", "LitServe", "BentoML", "mosec", "Ray Serve"
CONSTANT, BARE_ASGI = "constant PNG, FastAPI", "constant PNG, bare ASGI"


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
    """False if it answers with constant PNGs."""
    points: tuple[LoadPoint, ...] | None = None
    """For a variant of zserve: its only load points, with the MLP alone. None: all points."""
    checkout: Path | None = None
    """For zserve and the baseline: the checkout that is run."""
    fast_mode_fault: Callable[[ServerProcess], str | None] | None = None
    """Return why the server's fast mode is not in use, or None if it is; called after a load."""

    @property
    def interpreter(self) -> Path:
        """Path of its Python interpreter."""
        if self.environment == BASELINE and self.checkout:
            return self.checkout / ".venv" / "bin" / "python"
        return python(self.environment)

    @property
    def folder(self) -> Path:
        """Working directory: its checkout, or the folder of the peers' scripts."""
        return self.checkout or PEERS

    @property
    def seeded(self) -> bool:
        """True if it answers seeded GET requests with an ETag."""
        return self.name in {ZSERVE, BASELINE}

    def body(self, n: int) -> bytes | None:
        """Return the body of POST /generate?n=<n>."""
        return json.dumps({"n": n}).encode() if self.json_body else None

    def environment_variables(self, launch: Launch) -> dict[str, str]:
        """Return the environment variables that its process gets in addition to the inherited."""
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


# --- zserve ------------------------------------------------------------------------------------

_NO_LIMITS = {
    "ZSERVE_QUEUE_IMAGES": "1000000",
    "ZSERVE_REQUEST_TIMEOUT_S": "60",
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
        variables=_NO_LIMITS | dict(variables or {}),
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


# --- peers -------------------------------------------------------------------------------------


def _script(environment: str, *words: str) -> Callable[[Launch], list[str]]:
    """Return a command `python <script>` of an environment; `{port}` stands for the port."""

    def command(launch: Launch) -> list[str]:
        return [str(python(environment)), *(word.format(port=launch.port) for word in words)]

    return command


def _bentoml(launch: Launch) -> list[str]:
    program = str(python("bentoml").parent / "bentoml")
    return [program, "serve", "with_bentoml:Generate", "--host", HOST, "--port", str(launch.port)]


_MOSEC = ("with_mosec.py", "--port", "{port}", "--address", HOST, "--log-level", "warning")

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
        _script("mosec", *_MOSEC),
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
        "one replica behind HAProxy, the best of its grid; on loopback, so without tokens",
        # The first settings are those of Ray's guide to high throughput, on one core.
        grid=(
            {"throughput_optimized": 1, "haproxy_threads": 1},
            {"haproxy_threads": 1},
            {},
        ),
        variables={
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled",
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "{scratch}/haproxy/haproxy.cfg",
            "RAY_SERVE_HAPROXY_SOCKET_PATH": "{scratch}/haproxy/admin.sock",
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": "{scratch}/haproxy/metrics.sock",
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "{scratch}/haproxy",
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "{scratch}/haproxy/server-state",
        },
        setting_variables={
            "throughput_optimized": "RAY_SERVE_THROUGHPUT_OPTIMIZED",
            "haproxy_threads": "RAY_SERVE_HAPROXY_NBTHREAD",
        },
        fast_mode_fault=haproxy.unconfirmed_reason,
    ),
    Server(
        CONSTANT,
        "textbook",
        _script("textbook", "constant.py"),
        "an `async def` route, no model",
        decodes=False,
    ),
    Server(
        BARE_ASGI,
        "textbook",
        _script("textbook", "bare.py"),
        "no framework, no model",
        decodes=False,
    ),
)
