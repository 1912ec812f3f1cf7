"""A store with two versions of a shipped model, and a server on it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store

CHECKOUT = Path(__file__).resolve().parents[2]
TOKEN = "soak"  # noqa: S105 - of a server on loopback
STARTED_WITHIN_S = 120


def publish_twice(root: Path, name: str) -> None:
    """Publish the latest version of a shipped model as versions 1 and 2 of it."""
    shipped = Store(SHIPPED)
    latest = ModelRef(name=name, version=shipped.versions(name)[-1])
    for _ in range(2):
        shipped.copy(latest, into=Store(root))


@contextmanager
def serving(store: Path, log: Path, workers: int) -> Iterator[tuple[int, int]]:
    """Run a server on loopback; yields the id of its process and its port."""
    variables = {
        "ZSERVE_ADMIN_TOKEN": TOKEN,
        "ZSERVE_DEVICE": "cpu",
        "ZSERVE_LOG_REQUESTS": "false",
        "ZSERVE_WORKERS": str(workers),
    }
    command = [sys.executable, "-m", "app", "--port", "0", "--store", str(store)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=os.environ | variables, stdout=output, stderr=output
        )
        try:
            yield process.pid, _port(process, log)
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    """Wait until the log names the address, and return its port."""
    deadline = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        match = re.search(r"serving on http://\S+?:(\d+)", log.read_text())
        if match:
            return int(match[1])
        time.sleep(0.05)
    raise SystemExit(f"the server did not start:\n{log.read_text()}")
