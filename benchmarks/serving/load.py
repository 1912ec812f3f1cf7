"""The load generator: wrk, bounded in time, on loopback, on its own core."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.answers import Expected, WrongAnswerError, check_png

SCRIPT = Path(__file__).parent / "load.lua"
TIMEOUT_S = 60
"""How long wrk waits for one answer."""
GRACE_S = 30
"""How long wrk may take to end after the time of the load."""


@dataclass(frozen=True)
class Load:
    """What one run of wrk counted; latency in ms."""

    requests_per_s: float
    requests: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    timeouts: int
    socket_errors: int
    checked: int


def ensure_wrk() -> None:
    """Install wrk by apt where it is missing; exit with what to do where that cannot be."""
    if shutil.which("wrk"):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        sys.exit("the load generator wrk is missing: install it (sudo apt-get install wrk)")
    print("installing wrk, the load generator, by apt-get", flush=True)
    quiet = {
        "stdout": subprocess.DEVNULL,
        "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    }
    subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)  # type: ignore[call-overload]
    subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=False, **quiet)  # type: ignore[call-overload]
    if not shutil.which("wrk"):
        sys.exit("apt-get could not install wrk, see above; install it by hand and try again")


def run_wrk(
    url: str,
    *,
    connections: int,
    duration_s: float,
    cores: set[int],
    expected: Expected,
    variables: Mapping[str, str],
    status: int = 200,
) -> Load:
    """Load a server; raises WrongAnswerError where any answer is not what was asked for."""
    with tempfile.TemporaryDirectory(prefix="bench-answers-") as samples:
        environment = {**os.environ, **variables, "WRK_STATUS": str(status)}
        if status == 200:
            environment |= {"WRK_SAMPLES": samples, "WRK_EVERY": "50"}
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(duration_s))}s"]
        command += ["--timeout", f"{TIMEOUT_S}s", "-s", str(SCRIPT), url]
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
                f"wrk did not end within {GRACE_S} s after the {duration_s:g} s of its load"
            ) from error
        if finished.returncode != 0:
            raise WrongAnswerError(f"wrk failed: {(finished.stderr or finished.stdout)[-300:]}")
        counted = json.loads(finished.stdout.strip().splitlines()[-1])
        kept = sorted(Path(samples).glob("*.answer"))
        if counted["bad"]:
            wrong = [
                f"{file.name.split('.')[1]} {file.read_bytes()[:200]!r}"
                for file in sorted(Path(samples).glob("*.wrong"))[:1]
            ]
            raise WrongAnswerError(
                f"{counted['bad']} answers were not what was asked: {', '.join(wrong)}"
            )
        for file in kept:
            check_png(file.read_bytes(), expected)
        return Load(
            requests_per_s=counted["requests"] / counted["duration_s"],
            requests=counted["requests"],
            p50_ms=counted["p50_ms"],
            p99_ms=counted["p99_ms"],
            max_ms=counted["max_ms"],
            timeouts=counted["timeouts"],
            socket_errors=counted["socket_errors"],
            checked=len(kept),
        )
