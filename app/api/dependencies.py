"""Typed access to what lives as long as the service runs.

Dependencies are coroutines even where they wait for nothing: FastAPI sends plain functions to a
thread, which costs more than all they do.
"""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.requests import ClientDisconnect

from app.errors import UnsupportedBodyError
from app.inference.engine import Engine
from app.inference.model_cache import ModelCache
from app.observability.metrics import Telemetry
from app.settings import Settings
from model_store.store import Store


@dataclass(frozen=True)
class Services:
    """Made by the lifespan of the app, and handed to the routes."""

    settings: Settings
    store: Store
    engine: Engine
    catalog: ModelCache
    telemetry: Telemetry


def services_of(request: Request) -> Services:
    """The services of the app that handles this request."""
    return cast(Services, request.app.state.services)


async def services(request: Request) -> Services:
    """The same as a dependency."""
    return services_of(request)


ServicesDep = Annotated[Services, Depends(services)]


async def no_body(request: Request) -> None:
    """Raise UnsupportedBodyError where parameters were sent in a body, which nobody would read.

    Raises ClientDisconnect where the client has gone. The first bytes of a body tell enough.
    """
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if message.get("body"):
            raise UnsupportedBodyError(
                "this endpoint reads no body",
                remedy="send the parameters in the query: ?n=16&seed=7",
            )
        more = message.get("more_body", False)
