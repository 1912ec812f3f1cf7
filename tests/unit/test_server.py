import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from app.server.server import note_startup_failure


def app_whose_lifespan(*, fails_at: str) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, int]]:
        if fails_at == "start":
            raise OSError("the disk is on fire")
        yield {"a": 1}
        if fails_at == "stop":
            raise OSError("the disk is wet")

    return FastAPI(lifespan=lifespan)


def reasons_of(app: FastAPI) -> list[str]:
    reasons: list[str] = []
    note_startup_failure(app, reasons.append)

    async def live() -> None:
        async with app.router.lifespan_context(app) as state:
            assert state == {"a": 1}

    with contextlib.suppress(OSError):
        asyncio.run(live())
    return reasons


@pytest.mark.parametrize(
    ("fails_at", "reasons"),
    [("start", ["OSError: the disk is on fire"]), ("stop", []), ("never", [])],
)
def test_the_reason_of_a_failed_start_is_reported(fails_at: str, reasons: list[str]) -> None:
    assert reasons_of(app_whose_lifespan(fails_at=fails_at)) == reasons
