"""The gauge of waiting images over several processes, as workers write and read it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WORKER = """
import sys
from pathlib import Path
from app.observability.metrics import Telemetry
telemetry = Telemetry(Path(sys.argv[1]))
for line in sys.stdin:
    telemetry.waiting(int(line)) if line.strip() else print(telemetry.exposition().decode(), "END")
    sys.stdout.flush()
"""


class Worker:
    """A process with metrics in a shared folder."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def set(self, images: int) -> None:
        self._write(f"{images}\n")
        self.read()  # until this answer, the gauge may not be written

    def read(self) -> float:
        self._write("\n")
        assert self.process.stdout is not None
        lines = iter(self.process.stdout.readline, "")
        text = "".join(line for line in iter(lambda: next(lines), " END\n"))
        match = re.search(r"^zserve_waiting_images (\S+)$", text, re.MULTILINE)
        return float(match[1]) if match else 0.0

    def _write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()


@contextmanager
def workers(folder: Path, count: int) -> Iterator[list[Worker]]:
    """Run workers; they end when their stdin is closed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, folder],
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        yield [Worker(process) for process in processes]
    finally:
        for process in processes:
            process.communicate()


def test_every_worker_shows_the_sum_of_all_and_at_once(tmp_path: Path) -> None:
    with workers(tmp_path, 2) as (first, second):
        first.set(3072)
        assert second.read() == 3072
        second.set(16)
        assert (first.read(), second.read()) == (3088, 3088)
        first.set(0)
        assert (first.read(), second.read()) == (16, 16)


def test_the_images_of_a_worker_that_died_no_longer_wait(tmp_path: Path) -> None:
    with workers(tmp_path, 2) as (first, second):
        first.set(100)
        second.set(5)
        first.process.kill()
        first.process.wait()
        for file in tmp_path.glob(f"gauge_live*_{first.process.pid}.db"):
            file.unlink()  # as the supervisor does
        assert second.read() == 5
