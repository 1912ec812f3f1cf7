"""Typed access to the objects that live as long as the service.

Dependencies are coroutines even if they await nothing: FastAPI runs plain functions in a thread,
which costs more than the functions themselves.
"""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Request
from starlette.requests import ClientDisconnect

from app.api.large_bodies import LargeBodies
from app.errors import ShuttingDownError, UnsupportedBodyError
from app.imaging.decoder import Decoder
from app.inference.compression import Compressor
from app.inference.engine import Engine
from app.inference.model_cache import ModelCache
from app.observability.metrics import Telemetry
from app.settings import Settings
from app.stopping import Stopping
from model_store.store import Store

ModelName = Annotated[str, Path(description="Name of a model.", examples=["mnist"])]
VersionOrAlias = Annotated[str, Path(description="Version or alias.", examples=["1", "production"])]


@dataclass(frozen=True)
class Services:
    """The objects that the app's lifespan creates and the routes use."""

    settings: Settings
    store: Store
    engine: Engine
    model_cache: ModelCache
    compressor: Compressor
    decoder: Decoder
    telemetry: Telemetry
    large_bodies: LargeBodies
    stopping: Stopping


def services_of(request: Request) -> Services:
    """Return the services of the app that handles this request."""
    return cast(Services, request.app.state.services)


async def services(request: Request) -> Services:
    """Return the services of the app, as a FastAPI dependency."""
    return services_of(request)


def refuse_if_stopping(services: Services) -> None:
    """Raise ShuttingDownError once the service begins to stop."""
    if services.stopping.announced:
        raise ShuttingDownError("the service is being stopped")


ServicesDep = Annotated[Services, Depends(services)]


async def refuse_body(request: Request) -> None:
    """Raise UnsupportedBodyError if the request has a body, which this endpoint would ignore.

    Clients may expect parameters in a body to be read. Stops at the first bytes of the body. Raises
    ClientDisconnect if the client disconnects before the end of an empty body.
    """
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if message.get("body"):
            raise UnsupportedBodyError(
                "this endpoint accepts no body",
                remedy="send the parameters in the query: ?n=16&seed=7",
            )
        more = message.get("more_body", False)
