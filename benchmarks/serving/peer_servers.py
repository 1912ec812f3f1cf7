"""The peers that zserve is compared with, and the settings to try of each."""

from collections.abc import Callable

from benchmarks.serving import haproxy
from benchmarks.serving.environments import FOLDER, python
from benchmarks.serving.processes import HOST
from benchmarks.serving.servers import FastMode, Launch, Server

TEXTBOOK, LITSERVE, BENTOML, MOSEC, RAY = "FastAPI", "LitServe", "BentoML", "mosec", "Ray Serve"
CONSTANT, BARE_ASGI = "constant PNG, FastAPI", "constant PNG, bare ASGI"


def _script(environment: str, *words: str) -> Callable[[Launch], list[str]]:
    """Return a command `python <script>` of an environment; `{port}` stands for the port."""

    def command(launch: Launch) -> list[str]:
        return [str(python(environment)), *(word.format(port=launch.port) for word in words)]

    return command


def _bentoml(launch: Launch) -> list[str]:
    program = str(python("bentoml").parent / "bentoml")
    return [program, "serve", "with_bentoml:Generate", "--host", HOST, "--port", str(launch.port)]


_MOSEC = ("with_mosec.py", "--port", "{port}", "--address", HOST, "--log-level", "warning")

RAY_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    # Ray kills a proxy that is not ready in 5 s, which happens on a busy machine.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "120",
    "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "{scratch}/haproxy/haproxy.cfg",
    "RAY_SERVE_HAPROXY_SOCKET_PATH": "{scratch}/haproxy/admin.sock",
    "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": "{scratch}/haproxy/metrics.sock",
    "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "{scratch}/haproxy",
    "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "{scratch}/haproxy/server-state",
}
"""Variables of Ray in its fast mode; `{scratch}` stands for a temporary folder."""

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
        variables=RAY_VARIABLES,
        setting_variables={
            "throughput_optimized": "RAY_SERVE_THROUGHPUT_OPTIMIZED",
            "haproxy_threads": "RAY_SERVE_HAPROXY_NBTHREAD",
        },
        fast_mode=FastMode(haproxy.clear_counters, haproxy.unconfirmed_reason),
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
