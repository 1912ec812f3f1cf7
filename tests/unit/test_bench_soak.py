"""The slopes of the soak: of series with a known growth, and of real processes."""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.soak.__main__ import main
from benchmarks.soak.faults import Faults, promote
from benchmarks.soak.load import Load
from benchmarks.soak.report import GROWTH, leaks
from benchmarks.soak.samples import Sample, Sampler, children, slope_per_hour


def series(per_hour: float, noise: float = 0.0, count: int = 300) -> list[Sample]:
    generator = random.Random(0)
    return [
        Sample(2.0 * i, 100 + per_hour * 2 * i / 3600 + generator.uniform(-noise, noise), 9, 3)
        for i in range(count)
    ]


@pytest.mark.parametrize("per_hour", [-50.0, 0.0, 3.0, 700.0])
def test_the_slope_of_a_line_is_its_growth(per_hour: float):
    assert slope_per_hour(series(per_hour), "memory_mib") == pytest.approx(per_hour, abs=1e-6)


def test_peaks_and_the_filling_of_caches_do_not_change_the_slope():
    samples = series(0.0, noise=0.5)
    for i in range(60):  # the first fifth
        samples[i] = Sample(samples[i].second, i, 9, 3)
    for i in range(80, 300, 20):
        samples[i] = Sample(samples[i].second, 5000, 900, 300)
    assert abs(slope_per_hour(samples, "memory_mib")) < 2
    assert slope_per_hour(samples, "files") == 0


@pytest.mark.parametrize("attribute", GROWTH)
def test_growth_above_the_limit_is_a_leak_and_is_named(attribute: str):
    def growing(factor: float) -> list[Sample]:
        values = {"memory_mib": 100.0, "files": 9, "threads": 3}
        slope = factor * GROWTH[attribute] / 3600
        return [
            Sample(2.0 * i, **(values | {attribute: values[attribute] + slope * 2 * i}))  # type: ignore[arg-type]
            for i in range(300)
        ]

    assert leaks({"worker": growing(0.9)}) == []
    (line,) = leaks({"worker": growing(1.1), "other": growing(0.0)})
    assert line.startswith("worker: ")


@contextmanager
def running(code: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_open_files_and_threads_of_a_real_process_are_counted():
    code = (
        "import sys, threading\n"
        "files = [open('/dev/null') for _ in range(50)]\n"
        "for _ in range(3): threading.Thread(target=sys.stdin.read, daemon=True).start()\n"
        "sys.stdin.read()"
    )
    with running(code) as pid:
        sampler = Sampler(pid)

        def ready() -> bool:
            sampler.sample()
            return sampler.series[pid][-1].threads == 4

        wait_until(ready)
        assert sampler.series[pid][-1].files >= 53
        assert sampler.series[pid][-1].memory_mib > 1


def test_workers_are_the_forked_children_and_the_oldest_comes_first():
    code = (
        "import os, subprocess, sys, time\n"
        "helper = subprocess.Popen(['sleep', '5'])\n"
        "for _ in range(2):\n"
        "    if os.fork() == 0: time.sleep(5); os._exit(0)\n"
        "    time.sleep(0.1)\n"
        "sys.stdin.read()"
    )
    with running(code) as pid:
        wait_until(lambda: len(children(pid)) == 2)
        first, second = children(pid)
        assert first < second
        sampler = Sampler(pid)
        sampler.sample()
        assert {pid, first, second} < set(sampler.series)


def test_answers_are_counted_by_status_and_clients_that_leave_are_not_answers():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            status = b"503 Busy" if b"seed=128&" in head or b"seed=128 " in head else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")

    async def run() -> Load:
        async def ignore_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await answer(reader, writer)
            except (EOFError, OSError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(ignore_ends, "127.0.0.1", 0)
        load = Load(server.sockets[0].getsockname()[1])
        await load.run(200, 0.2)
        await load.close()
        server.close()
        return load

    outcome = asyncio.run(run()).outcome
    assert outcome.left == 2
    assert outcome.statuses == Counter({200: 37, 503: 1})
    assert len(outcome.seconds) == 37


class Answers:
    """A server that answers one promotion after the other with one of some answers, in turn."""

    def __init__(self, faults: Faults, answers: list[str]) -> None:
        self.faults = faults
        self.answers = iter(answers)
        self.versions: list[int] = []
        self.exhausted = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        self.versions.append(json.loads(await reader.readexactly(length))["version"])
        match next(self.answers, None):
            case None:
                self.exhausted.set()
            case "killed":
                self.faults.kills += 1
            case "closed":
                pass
            case answer:
                writer.write(f"HTTP/1.1 {answer}\r\n\r\nwhy".encode())
        writer.close()


def test_a_promotion_that_is_lost_with_its_worker_is_sent_again_and_others_fail_with_a_reason():
    """A kill may hit the worker that is promoting; that request is lost, and is no failure."""
    faults = Faults()
    answers = Answers(faults, ["200 OK", "killed", "killed", "200 OK", "503 Busy", "closed"])

    async def run() -> None:
        server = await asyncio.start_server(answers, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        promoting = asyncio.create_task(promote(faults, port, "mnist", 0.001))
        await answers.exhausted.wait()
        promoting.cancel()
        server.close()

    asyncio.run(run())
    assert answers.versions[:6] == [2, 1, 1, 1, 2, 1]
    assert (faults.promotions, faults.cut, faults.kills) == (2, 2, 2)
    busy, closed = faults.refused
    assert busy == "503 why"
    assert closed.startswith("IncompleteReadError")


@pytest.mark.slow
def test_a_short_soak_runs_to_its_end(capsys: pytest.CaptureFixture[str]):
    assert main(["--minutes", "0.3", "--kill-every", "6", "--promote-every", "3"]) == 0
    printed = capsys.readouterr().out
    assert "oldest worker" in printed
    assert "| promotions that failed | 0 |" in printed
