"""A promotion that another process holds up does not hold up the service."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from filelock import FileLock

from tests.api.service import publish
from tests.e2e.server import serving

pytestmark = pytest.mark.processes


def test_a_locked_alias_is_answered_with_503_while_the_service_answers_and_stops(tmp_path: Path):
    for seed in (0, 1):
        publish(tmp_path / "store", seed=seed)
    variables = {
        "ZSERVE_ADMIN_TOKEN": "token",
        "ZSERVE_DEVICE": "cpu",
        "ZSERVE_PROMOTION_TIMEOUT_S": "1.2",
    }
    lock = FileLock(tmp_path / "store" / "mnist" / ".aliases.lock")
    log = tmp_path / "log"
    with lock, ThreadPoolExecutor(3) as pool, serving(tmp_path / "store", log, **variables) as url:
        promotions = [pool.submit(promote, url) for _ in range(3)]
        answered = 0
        while not all(promotion.done() for promotion in promotions):
            answered += httpx.get(f"{url}/healthz", timeout=1).status_code == 200
            time.sleep(0.01)
        assert answered > 10
        for promotion in promotions:
            answer = promotion.result()
            assert answer.status_code == 503, answer.text
            assert answer.json()["type"] == "/problems/store-busy"
            assert "aliases.lock" in answer.json()["detail"]
            assert "retry-after" in answer.headers
        waiting = pool.submit(promote, url)
        time.sleep(0.5)  # then it has reached the service, which is stopped while it waits
    assert waiting.result().status_code == 503
    assert not (tmp_path / "store" / "mnist" / "aliases.json").exists()


def promote(url: str) -> httpx.Response:
    return httpx.put(
        f"{url}/models/mnist/aliases/production",
        content=json.dumps({"version": 2}),
        headers={"Authorization": "Bearer token", "Content-Type": "application/json"},
        timeout=30,
    )
