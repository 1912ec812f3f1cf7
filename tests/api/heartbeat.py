"""Serve an app on loopback and measure how long single callbacks hold its event loop."""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI

_INTERVAL_S = 0.001


class Heartbeat:
    """Beats on an event loop every millisecond.

    Counts the CPU time of the loop's thread between two beats, which other processes and threads
    cannot lengthen: at most the interval, and what one turn of the loop computed.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        """Longest CPU time (s) between two beats."""

    async def run(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(_INTERVAL_S)
            now = time.thread_time()
            self.longest_s = max(self.longest_s, now - before)
            before = now


@dataclass(frozen=True)
class Watched:
    """A served app and the heartbeat on its event loop."""

    heartbeat: Heartbeat
    client: httpx.Client


@contextmanager
def watched(app: FastAPI) -> Iterator[Watched]:
    """Serve an app with uvicorn in a thread of its own, as `app.server.serve` does."""
    heartbeat = Heartbeat()
    config = uvicorn.Config(app, port=0, lifespan="on", ws="none", log_config=None)
    server = uvicorn.Server(config)

    async def serve() -> None:
        beating = asyncio.create_task(heartbeat.run())
        await server.serve()
        beating.cancel()

    gc.disable()  # a full collection would visit all objects of the tests, in some 60 ms
    try:
        with start_blocking_portal() as portal:
            serving = portal.start_task_soon(serve)
            while not server.started:
                assert not serving.done(), serving.exception()
                time.sleep(0.01)
            host, port = server.servers[0].sockets[0].getsockname()[:2]
            with httpx.Client(base_url=f"http://{host}:{port}", timeout=120) as client:
                yield Watched(heartbeat, client)
            server.should_exit = True
            serving.result()
    finally:
        gc.enable()
