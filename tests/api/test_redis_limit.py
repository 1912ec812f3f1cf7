"""Limits of rates that are counted in Redis: Debian's redis-server, started by the test."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from redis.asyncio import Connection

from app.access.redis_limiter import PAUSE_S, RedisLimiter
from app.rates import Rate
from app.settings import Settings
from tests.api.service import Service, started

REDIS = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(
    REDIS is None, reason="redis-server is not installed; `make test-redis` installs it"
)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def redis_server(folder: Path, port: int) -> Iterator[str]:
    """Run Redis on loopback, without a file on disk; yields its address."""
    command = [str(REDIS), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (folder / "redis.log").open("w") as log:
        process = subprocess.Popen([*command, "--dir", str(folder)], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 20
            while not listens(port):
                assert time.monotonic() < deadline, (folder / "redis.log").read_text()
                time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with redis_server(tmp_path, free_port()) as address:
        yield address


def statuses(services: list[Service], count: int) -> list[int]:
    """Ask the services in turn, and return the statuses of the answers."""
    return [services[i % len(services)].get("/generate?n=1").status_code for i in range(count)]


def test_several_workers_count_together(store: Path, url: str) -> None:
    settings = Settings(
        store=store, device="cpu", log_requests=False, rate_limit="5/minute", rate_limit_redis=url
    )
    with ExitStack() as stack:
        workers = [stack.enter_context(started(settings)) for _ in range(2)]
        assert statuses(workers, 9) == [200] * 5 + [429] * 4


def test_guesses_are_counted_together_and_cleared_by_the_token(store: Path, url: str) -> None:
    settings = Settings(
        store=store,
        device="cpu",
        log_requests=False,
        admin_token="right",
        token_rate_limit="3/minute",
        rate_limit_redis=url,
    )
    wrong, right = ({"Authorization": f"Bearer {secret}"} for secret in ("wrong", "right"))
    path, promotion = "/models/mnist/aliases/candidate", {"version": 9}
    with ExitStack() as stack:
        workers = [stack.enter_context(started(settings)) for _ in range(2)]

        def guess(i: int, headers: dict[str, str]) -> int:
            answer = workers[i % 2].request("PUT", path, json=promotion, headers=headers)
            return answer.status_code

        assert [guess(i, wrong) for i in range(2)] == [401, 401]
        assert guess(0, right) == 404  # there is no version 9
        assert [guess(i, wrong) for i in range(5)] == [401, 401, 401, 429, 429]


def test_the_counts_of_redis_expire(url: str) -> None:
    async def count() -> list[float]:
        limit = RedisLimiter(Rate.parse("5/second"), url, name="calls")
        waits = [await limit.take("a") for _ in range(6)]
        await asyncio.sleep(1.1)
        keys = await limit._redis.dbsize()
        await limit.close()
        return [*waits, keys]

    *allowed, refused, keys = asyncio.run(count())
    assert allowed == [0] * 5
    assert 0 < refused <= 0.2
    assert keys == 0


@pytest.mark.parametrize("fault", ["stopped", "silent"])
def test_without_redis_each_worker_counts_its_own_and_says_so_once(
    tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage neither fails requests nor lifts the limit, and ends by itself."""
    now = 0.0
    port = free_port()
    with closing(socket.socket()) as silent:
        if fault == "silent":  # accepts connections, and never answers
            silent.bind(("127.0.0.1", port))
            silent.listen()

        async def outage() -> None:
            nonlocal now
            address = f"redis://127.0.0.1:{port}/0"
            limit = RedisLimiter(Rate.parse("5/day"), address, name="calls", clock=lambda: now)
            waits = [await limit.take("a") for _ in range(6)]
            assert waits[:5] == [0] * 5
            assert waits[5] > 0
            await limit.forget("b")
            silent.close()
            with redis_server(tmp_path, port):
                assert await limit.take("a") > 0  # still counted here
                now += PAUSE_S
                assert await limit.take("a") == 0  # counted by Redis again
                await limit.close()

        asyncio.run(outage())
    assert len(caplog.records) == 1
    assert "each worker counts its own" in caplog.text


def test_redis_is_tried_once_per_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests would otherwise wait for a connection one by one."""
    tried = 0
    address = f"redis://127.0.0.1:{free_port()}/0"

    class Counted(Connection):
        async def connect(self) -> None:
            nonlocal tried
            tried += 1
            await super().connect()

    async def outage() -> None:
        limit = RedisLimiter(Rate.parse("5/day"), address, name="calls", clock=lambda: 0.0)
        limit._redis.connection_pool.connection_class = Counted
        await limit.take("a")
        first = tried
        for _ in range(20):
            await limit.take("a")
        assert tried == first > 0
        await limit.close()

    asyncio.run(outage())
