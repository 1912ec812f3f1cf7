"""Run the load generator wrk for a limited time, on its own core."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving.expected_png import ExpectedPng, WrongAnswerError, check_png

SCRIPT = Path(__file__).parent / "wrk.lua"
TIMEOUT_S = 60
"""Timeout of a single request (s)."""
GRACE_S = 30
"""Time that wrk may take to end after the load's duration (s)."""


@dataclass(frozen=True)
class Load:
    """Counters of one run of wrk; latency in ms."""

    requests_per_s: float
    requests: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    timeouts: int
    socket_errors: int
    checked: int


def ensure_wrk() -> None:
    """Install wrk with apt-get if it is missing; exit with instructions if that is impossible."""
    if shutil.which("wrk"):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        sys.exit("the load generator wrk is missing: install it (sudo apt-get install wrk)")
    print("installing the load generator wrk with apt-get", flush=True)
    quiet = {
        "stdout": subprocess.DEVNULL,
        "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    }
    subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)  # type: ignore[call-overload]
    subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=False, **quiet)  # type: ignore[call-overload]
    if not shutil.which("wrk"):
        sys.exit("apt-get could not install wrk; install it by hand and try again")


def run_wrk(
    url: str,
    *,
    connections: int,
    duration_s: float,
    cores: set[int],
    expected: ExpectedPng,
    variables: Mapping[str, str],
    status: int = 200,
) -> Load:
    """Load a server; raise WrongAnswerError if any answer has a wrong status or content."""
    with tempfile.TemporaryDirectory(prefix="bench-answers-") as samples:
        environment = {**os.environ, **variables, "WRK_STATUS": str(status)}
        if status == 200:
            environment |= {"WRK_SAMPLES": samples, "WRK_EVERY": "50"}
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(duration_s))}s"]
        command += ["--timeout", f"{TIMEOUT_S}s", "-s", str(SCRIPT), url]
        summary = _summary(command, environment, duration_s, cores)
        checked = _check_samples(Path(samples), expected, wrong=summary["bad"])
    return Load(
        requests_per_s=summary["requests"] / summary["duration_s"],
        requests=summary["requests"],
        p50_ms=summary["p50_ms"],
        p99_ms=summary["p99_ms"],
        max_ms=summary["max_ms"],
        timeouts=summary["timeouts"],
        socket_errors=summary["socket_errors"],
        checked=checked,
    )


def _summary(
    command: list[str], environment: Mapping[str, str], duration_s: float, cores: set[int]
) -> dict[str, Any]:
    """Run wrk on `cores` and return the JSON line that wrk.lua writes."""
    try:
        finished = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=duration_s + GRACE_S,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
    except subprocess.TimeoutExpired as error:
        raise WrongAnswerError(
            f"wrk did not end within {GRACE_S} s after a load of {duration_s:g} s"
        ) from error
    if finished.returncode != 0:
        raise WrongAnswerError(f"wrk failed: {(finished.stderr or finished.stdout)[-300:]}")
    summary: dict[str, Any] = json.loads(finished.stdout.strip().splitlines()[-1])
    return summary


def _check_samples(folder: Path, expected: ExpectedPng, *, wrong: int) -> int:
    """Check the answers that wrk.lua wrote; return their number."""
    if wrong:
        examples = [
            f"{file.name.split('.')[1]} {file.read_bytes()[:200]!r}"
            for file in sorted(folder.glob("*.wrong"))[:1]
        ]
        raise WrongAnswerError(
            f"{wrong} answers had a wrong status or content: {', '.join(examples)}"
        )
    samples = sorted(folder.glob("*.answer"))
    for file in samples:
        check_png(file.read_bytes(), expected)
    return len(samples)
