"""Stops, restarts, kills and hangs of real services. `make chaos` repeats them many times."""

import asyncio
import contextlib
import fcntl
import os
import re
import resource
import signal
import socket
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.chaos.load import Kind, Load
from benchmarks.chaos.service import Service, alive, free_port
from tests.unit.exact_versions import publish_exact

CLIENTS: dict[Kind, int] = {"kept-alive": 6, "slow": 1, "fresh": 2, "upload": 2, "stream": 1}
LATENT = 4
BOTH = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    publish_exact(root, "mnist")  # which is served without PyTorch, and so starts sooner
    return root


@contextlib.asynccontextmanager
async def serving(store: Path, workers: int, **options: Any) -> AsyncIterator[Service]:
    async with Service("--store", str(store), workers=workers, **options) as service:
        yield await service.ready()
        for sign in ("Traceback", "does not stop", "was not closed"):
            assert sign not in service.log


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120.0))


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url, timeout=30.0)


@BOTH
def test_a_stop_under_load_loses_no_request(store: Path, workers: int) -> None:
    async def test() -> None:
        async with serving(store, workers) as service:
            load = Load(service.url, CLIENTS, LATENT)

            async def stop() -> None:
                await service.until(lambda: load.outcome.answered > 100, 30.0)
                await service.stop()

            outcome = await load.during(stop)
            assert outcome.lost == []
            assert outcome.failed == {}

    run(test())


def test_a_restart_under_load_replaces_all_workers_and_loses_no_request(store: Path) -> None:
    async def test() -> None:
        async with serving(store, 2) as service:
            before = set(service.workers)
            load = Load(service.url, CLIENTS, LATENT)

            async def restart() -> None:
                service.process.send_signal(signal.SIGHUP)
                await service.until(lambda: not any(map(alive, before)), 60.0)
                answered = load.outcome.answered
                await service.until(lambda: load.outcome.answered > answered, 30.0)

            outcome = await load.during(restart)
            assert outcome.lost == []
            assert outcome.failed == {}
            assert len(set(service.workers) - before) == 2

    run(test())


def test_sighup_does_not_stop_a_service_of_one_process(store: Path) -> None:
    async def test() -> None:
        async with serving(store, 1) as service:
            service.process.send_signal(signal.SIGHUP)
            await service.until(lambda: "has none to restart" in service.log, 20.0)
            assert (await get(f"{service.url}/readyz")).status_code == 200

    run(test())


@BOTH
def test_a_stopping_service_is_not_ready_before_it_accepts_no_more_connections(
    store: Path, workers: int
) -> None:
    async def test() -> None:
        async with serving(store, workers, ZSERVE_SHUTDOWN_DELAY_S="1.5") as service:
            service.process.terminate()
            ready = await get(f"{service.url}/readyz")
            while ready.status_code == 200:
                ready = await get(f"{service.url}/readyz")
            assert ready.status_code == 503
            assert ready.json()["detail"] == "the service is being stopped"
            assert (await get(f"{service.url}/v2/health/ready")).status_code == 503
            assert (await get(f"{service.url}/healthz")).status_code == 200
            assert (await get(f"{service.url}/generate?n=1")).status_code == 200
            await service.until(lambda: service.process.poll() is not None, 30.0)
            with pytest.raises(httpx.ConnectError):
                await get(f"{service.url}/readyz")

    run(test())


@pytest.mark.parametrize("workers", [2])
def test_a_request_on_a_kept_connection_of_a_stopping_service_is_its_last(
    store: Path, workers: int
) -> None:
    async def test() -> None:
        async with serving(store, workers) as service:
            async with httpx.AsyncClient() as client:
                first = await client.get(f"{service.url}/generate?n=1&seed=1")
                assert "connection" not in first.headers
                service.process.terminate()
                await service.until(lambda: "stopping" in service.log, 20.0)
                last = first
                # The supervisor logs that it stops before each worker knows.
                while last.headers.get("connection") != "close":
                    last = await client.get(f"{service.url}/generate?n=1&seed=1")
                    assert last.content == first.content
            await service.until(lambda: service.process.poll() is not None, 30.0)

    run(test())


def ask(service: Service, request: bytes) -> socket.socket:
    """Send a request over a connection whose client receives little at once."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(30.0)
    connection.connect(("127.0.0.1", int(service.url.rsplit(":", 1)[1])))
    connection.sendall(request)
    return connection


def read_all(connection: socket.socket) -> bytes:
    parts = [b""]
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


STREAM = b"GET /generate?n=10000&seed=1&format=zip&scale=16 HTTP/1.1\r\nHost: zserve\r\n\r\n"
UNFINISHED = b"POST /decode HTTP/1.1\r\nHost: zserve\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"


@pytest.mark.parametrize("workers", [2])
def test_a_stop_waits_for_streams_and_then_cuts_them_with_a_clear_end(
    store: Path, workers: int
) -> None:
    async def test() -> None:
        async with serving(store, workers, ZSERVE_SHUTDOWN_TIMEOUT_S="1") as service:
            stream, upload = ask(service, STREAM), ask(service, UNFINISHED)
            with stream, upload:
                assert stream.recv(9) == b"HTTP/1.1 "  # it has begun; it is not read on
                service.process.terminate()
                answer = await asyncio.to_thread(read_all, upload)
                assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
                assert b"\r\nconnection: close\r\n" in answer
                assert b"the service stopped before the answer was ready" in answer
                with contextlib.suppress(ConnectionResetError):
                    assert not (await asyncio.to_thread(read_all, stream)).endswith(b"0\r\n\r\n")
            await service.until(lambda: service.process.poll() is not None, 30.0)
            assert "stopping cuts" in service.log

    run(test())


@pytest.mark.parametrize("workers", [1])
def test_a_stream_that_is_read_within_the_patience_is_complete(store: Path, workers: int) -> None:
    async def test() -> None:
        async with serving(store, workers) as service:
            with ask(service, STREAM) as stream:
                assert stream.recv(9) == b"HTTP/1.1 "
                service.process.terminate()
                await service.until(lambda: "stopping" in service.log, 20.0)
                assert (await asyncio.to_thread(read_all, stream)).endswith(b"0\r\n\r\n")
            await service.until(lambda: service.process.poll() is not None, 30.0)

    run(test())


def test_a_worker_that_hangs_is_replaced_and_one_that_runs_is_kept(store: Path) -> None:
    async def test() -> None:
        async with serving(store, 2, ZSERVE_HEARTBEAT_TIMEOUT_S="3") as service:
            hanging, running = service.workers
            os.kill(hanging, signal.SIGSTOP)
            await service.until(lambda: service.starts == 3, 60.0)
            assert not alive(hanging)
            assert running in service.workers

    run(test())


def metrics_folders(folder: Path) -> list[Path]:
    return list(folder.glob("zserve-metrics-*"))


def test_a_killed_supervisor_leaves_no_worker_no_folder_and_loses_no_request(
    store: Path, tmp_path: Path
) -> None:
    async def test() -> None:
        async with serving(store, 2, TMPDIR=str(tmp_path)) as service:
            assert len(metrics_folders(tmp_path)) == 1
            workers = service.workers
            load = Load(service.url, CLIENTS, LATENT)

            async def kill() -> None:
                service.process.kill()
                await service.until(lambda: not any(map(alive, workers)), 60.0)

            assert (await load.during(kill)).lost == []
            assert not metrics_folders(tmp_path)

    run(test())


def leave_few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (15, 15))


def test_workers_that_cannot_start_are_given_up_with_their_reason(store: Path) -> None:
    async def test() -> None:
        async with Service("--store", str(store), workers=2, preexec=leave_few_files) as service:
            await service.until(lambda: service.process.poll() is not None, 60.0)
            assert service.process.returncode == 1
            last = service.log.splitlines()[-1]
            assert re.search(
                r"zserve stops: \d tries to start a worker failed; the last one: .+", last
            )

    run(test())


@BOTH
def test_a_stderr_that_nobody_reads_does_not_stop_the_service(store: Path, workers: int) -> None:
    async def test() -> None:
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        try:
            async with Service(
                "--store", str(store), workers=workers, stderr=writing, port=free_port()
            ) as service:
                await service.until(service.connectable, 60.0)
                async with httpx.AsyncClient(headers={"X-Request-ID": "x" * 128}) as client:
                    for _ in range(200):
                        answer = await client.get(f"{service.url}/generate?n=1", timeout=30.0)
                        assert answer.status_code == 200
                await service.stop()
        finally:
            os.close(reading)
            os.close(writing)

    run(test())
