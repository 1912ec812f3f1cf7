"""Fuzz what reads bytes from strangers: python -m tests.fuzz [TARGET ...] [--runs N].

With atheris, mutations are guided by the coverage of the code; without it, they are random. An input
that raises an exception which is no refusal, or that takes seconds, is stored in tests/fuzz/cases/,
where a test runs it from then on. The target `address` runs in Chromium.
"""

import argparse
import hashlib
import importlib.util
import logging
import random
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.fuzz import address
from tests.fuzz.mutate import mutated
from tests.fuzz.target import SLOW_S, Target
from tests.fuzz.targets import TARGETS

CASES = Path(__file__).parent / "cases"
HANG_S = 120
"""Seconds of wall-clock time after which atheris ends a run that may never end; slow runs are found
by their CPU time."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    names = [*TARGETS, "address"]
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(names)}")
    parser.add_argument("--runs", type=int, default=1_000_000, help="runs of each target")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutations")
    parser.add_argument("--engine", choices=["atheris", "random"], default=_default_engine())
    options = parser.parse_args()
    logging.disable()  # parsers of forms log each invalid character
    unknown = set(options.targets) - set(names)
    if unknown:
        parser.error(f"there is no target {min(unknown)}")
    statuses = [
        _run(name, options.runs, options.seed, options.engine) for name in options.targets or names
    ]
    return max(statuses)


def _default_engine() -> str:
    return "atheris" if importlib.util.find_spec("atheris") else "random"


def _run(name: str, runs: int, seed: int, engine: str) -> int:
    """Fuzz one target, print what came of it, and return the exit status."""
    begin = time.perf_counter()
    if name == "address":
        faults = address.fuzz(runs, seed)
    elif engine == "atheris":
        faults = _guided(TARGETS[name], runs, seed)
    else:
        faults = fuzz(TARGETS[name], runs, seed)
    seconds = time.perf_counter() - begin
    print(
        f"{name}: {'at most ' * bool(faults)}{runs} runs in {seconds:.0f} s ({engine}), {len(faults)} faults"
    )
    for fault in faults:
        print(f"  {fault}")
    return 1 if faults else 0


def fuzz(target: Target, runs: int, seed: int, *, max_faults: int = 10) -> list[str]:
    """Run a target on random mutations; return a line for each fault, and store its input."""
    generator, seeds, faults = random.Random(seed), target.seeds(), []
    for _ in range(runs):
        data = mutated(generator, seeds, target.words)
        if generator.random() < 0.5:
            data = target.repair(data)
        fault = fault_of(target, data)
        if fault is not None:
            faults.append(f"{fault} ({_store(target.name, data)})")
            if len(faults) == max_faults:
                break
    return faults


def fault_of(target: Target, data: bytes) -> str | None:
    """Run a target once; return in one line what is wrong, or None."""
    begin = time.process_time()  # of this process, whatever else the machine does
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoders warn of damage that they then refuse
        error = target.crash(data)
    seconds = time.process_time() - begin
    if error is not None:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return f"took {seconds:.1f} s" if seconds > SLOW_S else None


def _store(name: str, data: bytes) -> str:
    path = CASES / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    CASES.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path.name


def _guided(target: Target, runs: int, seed: int, *, max_faults: int = 10) -> list[str]:
    """Run a target under atheris, which ends its process at each fault and is started again."""
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        corpus, dictionary = Path(name, "corpus"), Path(name, "words")
        corpus.mkdir()
        for i, content in enumerate(target.seeds()):
            (corpus / str(i)).write_bytes(content)
        words = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
        dictionary.write_text("".join(f'"{word}"\n' for word in words))
        while runs > 0 and len(faults) < max_faults:
            seed += 1
            options = [f"-runs={runs}", f"-seed={seed}", f"-dict={dictionary}", str(corpus)]
            executed, found = _run_atheris(target, options)
            faults += found
            runs -= executed or runs
    return faults


def _run_atheris(target: Target, options: list[str]) -> tuple[int, list[str]]:
    """Run atheris until a fault or the end; return the number of runs, 0 if unknown, and the faults."""
    with tempfile.TemporaryDirectory() as found:
        command = [sys.executable, "-m", "tests.fuzz.guided", target.name, "-max_len=65536"]
        command += [f"-artifact_prefix={found}/", f"-timeout={HANG_S}", "-verbosity=0"]
        command += ["-print_final_stats=1", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        faults = []
        for path in Path(found).iterdir():
            data = path.read_bytes()
            noticed = path.name.partition("-")[0]  # crash, timeout or oom
            fault = fault_of(target, data) or f"not repeatable: {noticed}"
            faults.append(f"{fault} ({_store(target.name, data)})")
    if done.returncode != 0 and not faults:
        faults = [f"atheris failed: {done.stderr.strip().splitlines()[-1]}"]
    executed = re.search(r"number_of_executed_units: *(\d+)", done.stderr)
    return int(executed[1]) if executed else 0, faults


if __name__ == "__main__":
    sys.exit(main())
