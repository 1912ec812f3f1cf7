"""Serve with Ray Serve: one replica behind HAProxy on this machine.

RAY_SERVE_ENABLE_HA_PROXY=1 must be set. Ray binds HAProxy's metrics and statistics ports (9101 and
8404) on all interfaces and has no option to change that.
"""

# mypy: disable-error-code="attr-defined, import-not-found, untyped-decorator, misc, no-any-unimported"

import signal

import ray
from ray import serve
from shared import PORT, SETTINGS, draw, load_model, to_png
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(
    num_replicas=1,
    max_ongoing_requests=SETTINGS.get("max_ongoing_requests", 64),
    ray_actor_options={"num_cpus": 0},
)
class Generate:
    """Draws n images from the prior."""

    def __init__(self) -> None:
        self.vae = load_model()

    def __call__(self, request: Request) -> Response:
        """Decode and encode one request."""
        n = int(request.query_params["n"])
        return Response(to_png(draw(self.vae, n)), media_type="image/png")


if __name__ == "__main__":
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 * 1024 * 1024,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": PORT},
        logging_config={"enable_access_log": False},
    )
    serve.run(Generate.bind(), route_prefix="/generate")
    signal.pause()
