"""Bound the memory of large request bodies: only a few are read and parsed at the same time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.requests import Request

from app.errors import QueueFullError


class LargeBodies:
    """Places for requests whose body may have more than `above_bytes`.

    A request without a place waits before its body is read, so that the client's connection holds the
    data back.
    """

    def __init__(self, places: int, *, above_bytes: int, timeout_s: float) -> None:
        self._places = asyncio.Semaphore(places)
        self._limit = places
        self._above_bytes = above_bytes
        self._timeout_s = timeout_s

    @contextlib.asynccontextmanager
    async def place(self, request: Request) -> AsyncIterator[None]:
        """Hold a place if the body may be large; raises QueueFullError if none is free in time."""
        if not self._may_be_large(request):
            yield
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._places.acquire()
        except TimeoutError as error:
            raise QueueFullError(
                f"{self._limit} large bodies were being read for {self._timeout_s:g} s",
                limit=self._limit,
            ) from error
        try:
            yield
        finally:
            self._places.release()

    def _may_be_large(self, request: Request) -> bool:
        headers = request.headers
        if headers.get("content-encoding", "identity") != "identity":
            return True
        length = headers.get("content-length", "")
        if length.isdecimal():
            return int(length) > self._above_bytes
        return "transfer-encoding" in headers
