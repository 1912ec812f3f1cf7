"""Few large bodies are read at the same time; small ones pass them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.api.service import Service, started

PATH = "/v2/models/mnist/infer"
BODY = {"inputs": [{"name": "z", "shape": [1, 3], "datatype": "FP32", "data": [0.1, 0.2, 0.3]}]}


@pytest.fixture
def service(store: Path) -> Iterator[Service]:
    settings = Settings(
        store=store,
        device="cpu",
        log_requests=False,
        max_body_bytes=1000,
        max_large_bodies=1,
        request_timeout_s=0.2,
        retry_after_s=3,
    )
    with started(settings) as service:
        yield service


async def slow_body(started: asyncio.Event, end: asyncio.Event) -> AsyncIterator[bytes]:
    yield json.dumps(BODY).encode()
    started.set()
    await end.wait()


async def beside_a_slow_large_body(
    service: Service,
) -> tuple[httpx.Response, httpx.Response, httpx.Response, httpx.Response]:
    """Send a large and a small body while another large one arrives; then its end, and a large one."""
    client, begun, end = service.client, asyncio.Event(), asyncio.Event()
    slow = asyncio.create_task(client.post(PATH, content=slow_body(begun, end)))
    await begun.wait()
    large = json.dumps(BODY) + " " * 1000
    refused = await client.post(PATH, content=large)
    small = await client.post(PATH, json=BODY)
    end.set()
    return refused, small, await slow, await client.post(PATH, content=large)


def test_a_large_body_waits_for_others_and_is_then_503(service: Service) -> None:
    refused, small, slow, later = service.portal.call(beside_a_slow_large_body, service)
    assert refused.status_code == 503
    assert refused.json() == {"error": "1 large bodies were being read for 0.2 s"}
    assert refused.headers["retry-after"] == "3"
    assert small.status_code == slow.status_code == later.status_code == 200
