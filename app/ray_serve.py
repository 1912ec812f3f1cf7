"""Serve the app on a Ray cluster; needs the extra `ray`.

    serve run app.ray_serve:app min_replicas=2 max_replicas=8

Each replica is a process with the app, an engine and the models, as one worker of `python -m app`.
Ray Serve chooses a replica for each request, starts and stops replicas as the number of requests
demands, and replaces those of a node that is lost.
"""

import logging.config
from collections.abc import Mapping
from typing import Self

import ray
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ray import serve
from ray.serve.config import AutoscalingConfig
from ray.serve.deployment import Application
from ray.serve.schema import LoggingConfig
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.asgi import create_app
from app.errors import SettingsError
from app.observability.logs import log_config
from app.settings import Settings, read_settings

NAME = "zserve"

MAX_ONGOING_REQUESTS = 1000
"""Requests that a replica has at a time, as many again may wait in Ray. The engine of the replica
refuses requests that would wait too long, which it can do only for those that it has."""


class ReplicaOptions(BaseModel):
    """The options of `serve run app.ray_serve:app`, written as name=value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_replicas: int = Field(default=1, ge=0)
    """Smallest number of replicas."""
    max_replicas: int = Field(default=4, ge=1)
    """Largest number of replicas."""
    target_ongoing_requests: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    """Requests that wait or are answered, for each replica, at which the number of replicas stays."""
    upscale_delay_s: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    """Time (seconds) of more requests before replicas are added."""
    downscale_delay_s: float = Field(default=120.0, ge=0, allow_inf_nan=False)
    """Time (seconds) of fewer requests before replicas are removed."""
    look_back_period_s: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """Time (seconds) over which the number of requests is averaged."""
    cpus: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """CPUs that Ray reserves for a replica."""
    gpus: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """GPUs that Ray reserves for a replica."""

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas is {self.min_replicas}, max_replicas {self.max_replicas}: "
                "the first may not be larger"
            )
        return self

    @classmethod
    def parse(cls, arguments: Mapping[str, object]) -> Self:
        """Return the options; raises SettingsError with one line."""
        try:
            return cls.model_validate(arguments)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            message = str(problem["msg"]).removeprefix("Value error, ")
            if not problem["loc"]:
                raise SettingsError(message) from error
            name = str(problem["loc"][0])
            if problem["type"] == "extra_forbidden":
                message = f"no such option; the options are {', '.join(cls.model_fields)}"
            raise SettingsError(
                f"{name}: {message} (got {str(problem['input'])[:80]!r})"
            ) from error


def app(arguments: dict[str, object]) -> Application:
    """Return the application that `serve run` deploys.

    The settings are the variables of the process that calls this, and are sent to all replicas. If
    one is invalid, `serve run` ends with one line; a task of a cluster raises SettingsError.
    """
    try:
        options = ReplicaOptions.parse(arguments)
        settings = read_settings()
    except SettingsError as error:
        if ray.is_initialized():
            raise
        raise SystemExit(f"zserve: {error}") from error
    return _deployment(options, settings)


class _Replica:
    """One process of the service; Ray Serve runs the lifespan of the app in it."""

    async def check_health(self) -> None:
        """Answer from the event loop of the app: Ray replaces a replica whose loop is blocked."""


class _OneRequestId:
    """Leave X-Request-ID out of answers: Ray sends the id to the app, and adds it to the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def send_without_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [pair for pair in message["headers"] if pair[0] != b"x-request-id"]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_without_id)


def _deployment(options: ReplicaOptions, settings: Settings) -> Application:
    values = settings.model_dump()

    def build() -> FastAPI:
        checked = Settings(**values)  # on the node of the replica, which may lack the folder
        logging.config.dictConfig(log_config(checked.log_format, checked.log_level))
        app = create_app(checked)
        app.add_middleware(_OneRequestId)
        return app

    deployment = serve.deployment(
        serve.ingress(build)(_Replica),
        name=NAME,
        max_ongoing_requests=MAX_ONGOING_REQUESTS,
        max_queued_requests=MAX_ONGOING_REQUESTS,
        autoscaling_config=AutoscalingConfig(
            min_replicas=options.min_replicas,
            max_replicas=options.max_replicas,
            target_ongoing_requests=options.target_ongoing_requests,
            upscale_delay_s=options.upscale_delay_s,
            downscale_delay_s=options.downscale_delay_s,
            look_back_period_s=options.look_back_period_s,
        ),
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus},
        graceful_shutdown_timeout_s=settings.shutdown_timeout_s,
        health_check_timeout_s=settings.heartbeat_timeout_s,
        logging_config=LoggingConfig(enable_access_log=False),  # the app has its own
    )
    return deployment.bind()
