"""The real server in a process of its own, on loopback."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def run(*arguments: str | Path, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
    """Run Python in the checkout, as a user does."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, cwd=CHECKOUT, check=False
    )


@contextmanager
def serving(store: Path | str, log: Path, **variables: str) -> Iterator[str]:
    """Run a server of one process on this store, unless variables say otherwise.

    Yields its address.
    """
    environment = os.environ | {"ZSERVE_WORKERS": "1"} | variables
    command = [sys.executable, "-m", "app", "--port", "0", "--store", str(store)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdout=output, stderr=output
        )
        try:
            yield _address(process, log)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _address(process: "subprocess.Popen[bytes]", log: Path, timeout_s: float = 90) -> str:
    """Wait until the log names the address."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        match = re.search(r"serving on (http://\S+)", log.read_text())
        if match:
            return match[1]
        time.sleep(0.05)
    raise AssertionError(f"the server did not start:\n{log.read_text()}")
