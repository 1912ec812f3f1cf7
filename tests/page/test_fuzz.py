"""A short run of the fuzzer of addresses, in Chromium."""

import shutil
import subprocess
import sys

import pytest

from tests.e2e.server import CHECKOUT


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_mutated_addresses_do_no_harm() -> None:
    # In a process of its own: only one Playwright can run in this one.
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "address", "--runs", "20000"],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20000 runs" in done.stdout
