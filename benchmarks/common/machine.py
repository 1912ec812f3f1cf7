"""Facts about the machine that every benchmark result names: CPU, instruction set, versions."""

import os
import platform
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
INSTRUCTION_SETS = {
    "AVX-512": "avx512f",
    "AVX2": "avx2",
    "AVX": "avx",
    "SSE4.1": "sse4_1",
}
"""Name of an instruction set -> flag in /proc/cpuinfo, the widest first."""
EXTENSIONS = {
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "bfloat16": ("avx512_bf16",),
    "AMX": ("amx_tile",),
}
"""Extensions that change which matrix kernels a library chooses: name -> flags, any of them."""
LIMITING_VARIABLES = (
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
)
"""Environment variables that keep a library from using instructions that the CPU has."""


@dataclass(frozen=True)
class Machine:
    """A machine, its limits and its load at the start of a measurement."""

    started: str
    """Date and time, UTC."""
    cpu: str
    cores: int
    """Cores that this process may use."""
    instruction_set: str
    instruction_set_limits: Mapping[str, str]
    """The LIMITING_VARIABLES that are set, with their values."""
    python: str
    torch: str
    load_average: float
    """Runnable processes, averaged over the last minute."""
    gpu: str | None = None

    def lines(self) -> dict[str, str]:
        """Return label -> text for a report."""
        limits = self.instruction_set_limits.items()
        lines = {
            "started": self.started,
            "CPU": f"{self.cpu}, {self.cores} cores",
            "instruction set": self.instruction_set,
            "limits on the instruction set": ", ".join(f"{k}={v}" for k, v in limits) or "none",
            "Python and torch": f"Python {self.python}, torch {self.torch}",
            "load average at the start": f"{self.load_average:.2f}",
        }
        return lines | ({"GPU": self.gpu} if self.gpu else {})

    def summary(self) -> str:
        """Return the facts as one line."""
        return "; ".join(f"{label}: {text}" for label, text in self.lines().items())

    def slug(self) -> str:
        """Return a name for files, such as `amd-epyc-2-cores`."""
        words = f"{self.gpu or self.cpu} {self.cores} cores"
        trimmed = re.sub(r"\((r|tm)\)|\bcpu\b|@.*?hz", "", words.lower())
        return re.sub(r"[^a-z0-9]+", "-", trimmed).strip("-")


def read_machine(gpu: str | None = None) -> Machine:
    """Read the facts; `gpu` is the name of the GPU that is measured, if any."""
    cpuinfo = CPUINFO.read_text() if CPUINFO.exists() else ""
    return Machine(
        started=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        cpu=_field(cpuinfo, "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        instruction_set=instruction_set(_field(cpuinfo, "flags").split()),
        instruction_set_limits={
            name: os.environ[name] for name in LIMITING_VARIABLES if name in os.environ
        },
        python=platform.python_version(),
        torch=_version("torch"),
        load_average=os.getloadavg()[0],
        gpu=gpu,
    )


def instruction_set(flags: Iterable[str]) -> str:
    """Name the widest instruction set among CPU flags, with its extensions for matrices."""
    present = set(flags)
    names = (name for name, flag in INSTRUCTION_SETS.items() if flag in present)
    widest = next(names, platform.machine())
    extensions = [name for name, options in EXTENSIONS.items() if present & set(options)]
    return f"{widest} ({', '.join(extensions)})" if extensions else widest


def _field(cpuinfo: str, name: str) -> str:
    """Return the first value of a field of /proc/cpuinfo, or an empty string."""
    match = re.search(rf"^{name}\s*:\s*(.*)$", cpuinfo, flags=re.MULTILINE)
    return match[1].strip() if match else ""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
