"""The open-loop load generator, against a small server, and the verdict of the benchmark."""

import asyncio
from typing import Any

import pytest

from benchmarks.serving.open_loop import Report, arrivals, run
from benchmarks.serving.overload import Row, verdict

REQUEST = b"POST /generate?n=1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"


def test_arrivals_have_their_rate_and_the_variance_of_a_poisson_process() -> None:
    times = arrivals(100.0, 50.0, seed=3)
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] < 50.0
    assert len(times) == pytest.approx(5000, abs=3 * 5000**0.5)
    counts = [sum(i <= time < i + 1 for time in times) for i in range(50)]
    mean = sum(counts) / 50
    variance = sum((count - mean) ** 2 for count in counts) / 49
    assert variance == pytest.approx(mean, rel=0.6)


def test_arrivals_are_the_same_for_the_same_seed() -> None:
    assert arrivals(100.0, 1.0, seed=1) == arrivals(100.0, 1.0, seed=1)
    assert arrivals(100.0, 1.0, seed=1) != arrivals(100.0, 1.0, seed=2)


class Server:
    """Answers every third request for images with 503, and others with 200, on kept connections."""

    def __init__(self) -> None:
        self.requests = 0
        self.connections = 0
        self.paused = asyncio.Event()
        self.paused.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await self._head(reader):
            status = b"200 OK"
            if head.startswith(b"POST"):
                self.requests += 1
                status = b"200 OK" if self.requests % 3 else b"503 Service Unavailable"
                await self.paused.wait()
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\nok")
            if b"connection: close" in head:
                break
        writer.close()
        self.connections -= 1

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""


def load(times: list[float], seconds: float, *, pause_s: float = 0.0) -> Report:
    """Load a server, which answers nothing in the first `pause_s`."""

    async def main() -> Report:
        server = Server()
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        if pause_s:
            server.paused.clear()
            asyncio.get_running_loop().call_later(pause_s, server.paused.set)
        report = await run(port, REQUEST, times, source="127.0.0.1", skip_s=0.0, seconds=seconds)
        assert server.requests == len(times)
        listening.close()
        while server.connections:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.01)
        return report

    return asyncio.run(main())


def test_every_arrival_is_sent_and_counted_by_its_status() -> None:
    report = load([i * 0.002 for i in range(90)], 0.3)
    assert (report.admitted.answers, report.refused.answers, report.errors) == (60, 30, 0)
    assert report.offered_per_s == pytest.approx(300)
    assert report.health.answers >= 1


def test_a_wait_for_the_server_counts_from_the_scheduled_arrival() -> None:
    report = load([i * 0.001 for i in range(200)], 0.3, pause_s=0.25)
    assert report.admitted.max_ms >= 200


def _row(load: str, **report: Any) -> Row:
    empty = {"answers": 0, "p50_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0}
    complete = {"admitted": empty, "refused": empty, "health": empty} | report
    return Row("zserve", load, 100.0, complete)


def test_the_verdict_compares_with_the_peak_and_with_the_load_of_80_percent() -> None:
    rows = [
        _row("0.8 x", goodput_per_s=80.0, admitted={"p99_ms": 40.0}),
        _row("1 x", goodput_per_s=100.0, admitted={"p99_ms": 300.0}),
        _row("2 x", goodput_per_s=99.0),
        _row("5 x", goodput_per_s=97.0, admitted={"p99_ms": 60.0}, refused={"p99_ms": 9.0}),
    ]
    goodput, p99, refusals, _ = verdict(rows)
    assert "0.97 of its peak" in goodput
    assert "1.50 of that" in p99
    assert "9.0 ms" in refusals
    assert verdict(rows[:3]) == ["zserve was not measured completely"]
