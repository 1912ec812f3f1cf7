"""Compare the bytes of exact versions over executors, threads and instruction sets.

    python -m benchmarks.same_bytes [--store DIR] [--images 1000] [--uploads 100] [--emulate]
                                    [--executors onnx torch] [--record]

Each case runs in a separate process, and its results are compared with those of the reference, numpy
with float64 sums. That is slow for many images; `--executors` runs the cases of some executors only,
and compares them with the first one. Environment variables of the libraries limit the instruction set. ONNX Runtime has
no such variable, so --emulate also runs it on CPUs emulated by QEMU (Debian's package qemu-user),
which takes minutes even for a few images.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record, table
from model_store.store import SHIPPED

NO_SIMD = {
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
}
AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4",
}
FORCED_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that force kernels of OpenBLAS; an emulated CPU may lack their instructions."""
EMULATED = {"SSE4.2 (QEMU, Nehalem)": "Nehalem", "AVX2 (QEMU, Haswell)": "Haswell"}
TIMEOUT_S = 4 * 3600

Hashes = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Case:
    """One row of the table: an executor, its threads, and the limit of its instruction set."""

    executor: str
    threads: int = 1
    limit: str = "none"
    environment: dict[str, str] = field(default_factory=dict)
    emulator: tuple[str, ...] = ()


REFERENCE = Case("numpy")
CASES = (
    Case("numpy-float32"),
    Case("numpy", limit="no SIMD", environment=NO_SIMD),
    Case("numpy", limit="AVX2", environment=AVX2),
    Case("onnx"),
    Case("onnx", threads=2),
    Case("torch"),
    Case("torch", threads=2),
    Case("torch", limit="no SIMD", environment=NO_SIMD),
    Case("torch", limit="AVX2", environment=AVX2),
)
EXECUTORS = sorted({case.executor for case in CASES})


def main() -> int:
    """Compare all cases with the reference; return 0 if all hashes are equal, else 1."""
    options = _parser().parse_args()
    machine = read_machine()
    cases = [case for case in CASES if case.executor in options.executors]
    reference_case = REFERENCE if "numpy" in options.executors else cases.pop(0)
    if options.emulate:
        if shutil.which("qemu-x86_64") is None:
            sys.exit("--emulate needs qemu-x86_64: apt-get install qemu-user")
        cases += [
            Case("onnx", limit=name, emulator=("qemu-x86_64", "-cpu", cpu))
            for name, cpu in EMULATED.items()
        ]
    reference = hashes_of(reference_case, options)
    rows, differing = [], 0
    for case in cases:
        different = differences(reference, hashes_of(case, options))
        differing += len(different)
        counts = f"{len(different)} of {sum(map(len, reference.values()))}"
        rows.append([case.executor, str(case.threads), case.limit, counts, ", ".join(different)])
        print(*rows[-1], sep="  ", flush=True)
    text = f"{len(reference)} models, {options.images} images and {options.uploads} uploads each, "
    text += f"compared with {reference_case.executor} with {reference_case.threads} thread.\n"
    text += "\n" + table(["executor", "threads", "limit", "results that differ", "which"], rows)
    print(f"{machine.summary()}\n{text}")
    if options.record:
        print(record("same bytes", machine, text, {"rows": rows}))
    return 1 if differing else 0


def hashes_of(case: Case, options: argparse.Namespace) -> Hashes:
    """Run one case in a separate process and return its hashes."""
    command = [*case.emulator, sys.executable, "-m", "benchmarks.same_bytes.hashing"]
    command += [str(options.store), "--executor", case.executor, "--threads", str(case.threads)]
    command += ["--images", str(options.images), "--uploads", str(options.uploads)]
    if options.models:
        command += ["--models", *options.models]
    environment = {**os.environ, **case.environment}
    if case.emulator:
        for name in FORCED_KERNELS:
            environment.pop(name, None)
    done = subprocess.run(
        command, env=environment, capture_output=True, check=True, timeout=TIMEOUT_S
    )
    result: Hashes = json.loads(done.stdout)
    return result


def differences(expected: Hashes, found: Hashes) -> list[str]:
    """Return `model: kind` for each result whose hash differs."""
    return [
        f"{model}: {kind}"
        for model, kinds in expected.items()
        for kind, value in kinds.items()
        if found[model][kind] != value
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", type=Path, default=SHIPPED)
    parser.add_argument("--models", nargs="*", help="default: all exact ones")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--uploads", type=int, default=100)
    parser.add_argument(
        "--executors",
        nargs="+",
        choices=EXECUTORS,
        default=EXECUTORS,
        help="run the cases of these only; without numpy, the first case is the reference",
    )
    parser.add_argument("--emulate", action="store_true", help="also under QEMU")
    add_record_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
