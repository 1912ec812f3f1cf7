"""Typed access to what lives as long as the service runs.

Dependencies are coroutines even where they wait for nothing: FastAPI sends plain functions to a
thread, which costs more than all they do.
"""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from app.catalog import Catalog
from app.engine import Engine
from app.errors import ParameterError, UnsupportedBodyError
from app.settings import Settings
from app.telemetry import Telemetry
from model_store import Store


@dataclass(frozen=True)
class Services:
    """Made by the lifespan of the app, and handed to the routes."""

    settings: Settings
    store: Store
    engine: Engine
    catalog: Catalog
    telemetry: Telemetry


async def services(request: Request) -> Services:
    """The services of the app that handles this request."""
    return cast(Services, request.app.state.services)


ServicesDep = Annotated[Services, Depends(services)]


async def each_once(request: Request) -> None:
    """Raise ParameterError where a query parameter is given twice."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if names.count(name) > 1:
            raise ParameterError(
                f"{name[:80]} is given {names.count(name)} times", remedy=f"send {name[:80]} once"
            )


async def no_body(request: Request) -> None:
    """Raise UnsupportedBodyError where parameters were sent in a body, which nobody would read."""
    if await request.body():
        raise UnsupportedBodyError(
            "this endpoint reads no body", remedy="send the parameters in the query: ?n=16&seed=7"
        )
