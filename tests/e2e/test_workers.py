"""Several workers behind one port, in processes that can be killed."""

import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.api.service import publish
from tests.e2e.server import serving


@dataclass(frozen=True)
class Workers:
    """A server with two workers, and its log."""

    url: str
    log: Path

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that logged their start, in order."""
        return [int(pid) for pid in re.findall(r"server process \[(\d+)\]", self.log.read_text())]

    def get(self, path: str) -> httpx.Response:
        """Send a request over a new connection, so that any worker may answer."""
        return httpx.get(self.url + path, timeout=30)

    def count(self, sample: str) -> float:
        """Return one sample of /metrics; 0 if it is missing."""
        match = re.search(rf"^{re.escape(sample)} (\S+)$", self.get("/metrics").text, re.MULTILINE)
        return float(match[1]) if match else 0.0


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    publish(tmp_path / "store")
    log = tmp_path / "log"
    with serving(tmp_path / "store", log, ZSERVE_WORKERS="2", ZSERVE_DEVICE="cpu") as url:
        workers = Workers(url, log)
        until(lambda: len(workers.pids) == 2)
        yield workers
    assert all(not alive(pid) for pid in workers.pids)


def until(condition: object, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_worker_is_replaced_while_the_others_go_on(workers: Workers) -> None:
    answered = 'zserve_requests_total{method="GET",path="/generate",status="200"}'
    first = workers.get("/generate?n=20&seed=7")
    for _ in range(30):
        assert workers.get("/generate?n=20&seed=7").content == first.content
    assert workers.count(answered) == 31
    assert workers.count('zserve_images_total{model="mnist@1"}') == 31 * 20
    victim = workers.pids[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: not alive(victim))
    for _ in range(20):
        assert workers.get("/generate?n=20&seed=7").content == first.content
    until(lambda: len(workers.pids) == 3)
    for _ in range(9):
        assert workers.get("/generate?n=20&seed=7").content == first.content
    assert workers.count(answered) == 60
    assert workers.count('zserve_images_total{model="mnist@1"}') == 60 * 20
    assert workers.count("zserve_waiting_images") == 0


def test_a_promotion_reaches_every_worker(workers: Workers, tmp_path: Path) -> None:
    publish(tmp_path / "store", seed=1)
    assert workers.get("/generate").headers["x-model"] == "mnist@1"
    (tmp_path / "store" / "mnist" / "aliases.json").write_text('{"production": 2}')
    until(
        lambda: {workers.get("/generate?n=1").headers["x-model"] for _ in range(30)} == {"mnist@2"}
    )
