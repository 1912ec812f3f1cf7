"""Look for what is wrong with an installation, and say what to do: `zserve doctor`.

Each check is a function that returns findings: what was looked at, and if something is wrong, the remedy.
Nothing is changed, and nothing is sent anywhere.
"""

import argparse
import importlib.util
import json
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from app.access.api_keys import read_keys
from app.errors import SettingsError
from app.inference.devices import has_gpu, unusable_reason
from app.served_store import check_store, open_served_store
from app.server.cores import choose_workers
from app.server.folders import check_folders
from app.settings import PREFIX, Settings, read_settings
from model_store.arithmetic import golden
from model_store.command_line import ArgumentParser, counted
from model_store.errors import StoreError
from model_store.spec import ModelRef
from model_store.store import Store

NEEDED = ("zserve", "zserve-client", "numpy", "onnxruntime", "pillow", "fastapi", "uvicorn")
OPTIONAL = {
    "torch": "pip install 'zserve[torch]': float versions, and GPUs",
    "optuna": "pip install 'zserve[train]': training, evaluation and tuning",
    "obstore": "pip install 'zserve[s3]': stores on S3, Google Cloud and Azure",
    "redis": "pip install 'zserve[redis]': limits for several machines together",
    "opentelemetry-sdk": "pip install 'zserve[otel]': traces",
    "huggingface_hub": "pip install 'zserve[hub]': models of the Hugging Face hub",
    "model-signing": "pip install 'zserve[sign]': signatures of versions",
    "mcp": "pip install 'zserve[mcp]': tools for agents",
    "pyarrow": "pip install 'zserve[parquet]': tables of latents as Parquet",
}
"""Distribution -> how to install it, and what it is for."""
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm")
"""Names in /proc/cpuinfo of the instructions that products of small integers use."""
ENOUGH_FREE_BYTES = 500 * 1024**2
"""Disk space (bytes) below which publishing a version may fail."""

State = Literal["ok", "note", "wrong"]
MARKS: dict[State, str] = {"ok": "ok", "note": "note", "wrong": "WRONG"}


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        subject: Name of the part that was checked, such as `store`.
        state: `wrong` if something does not work, `note` if something could be better.
        text: The state in words.
        remedy: A way to mend it, or an empty text.
    """

    subject: str
    state: State
    text: str
    remedy: str = ""


def main(arguments: Sequence[str] | None = None, *, prog: str = "zserve doctor") -> int:
    """Print the findings; return 1 if something is wrong."""
    parser = ArgumentParser(prog=prog, description="Look for what is wrong, and say what to do.")
    add_options(parser)
    options = parser.parse_args(arguments)
    findings = list(examine())
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            print(f"{MARKS[finding.state]:<6} {finding.subject:<12} {finding.text}")
            if finding.remedy:
                print(f"{'':<19} -> {finding.remedy}")
        wrong = sum(finding.state == "wrong" for finding in findings)
        print(
            f"{wrong} of {len(findings)} checks found something wrong" if wrong else "all is well"
        )
    return 1 if any(finding.state == "wrong" for finding in findings) else 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def examine() -> Iterator[Finding]:
    """Yield all findings; a check that fails itself is one that found something wrong."""
    yield from check_versions()
    yield check_instructions()
    yield check_device()
    try:
        settings = read_settings()
    except SettingsError as error:
        yield Finding("settings", "wrong", str(error), "correct or unset the variable")
        return
    variables = sorted(name for name in os.environ if name.startswith(PREFIX))
    yield Finding("settings", "ok", ", ".join(variables) or "no variable is set, all defaults")
    checks: tuple[Callable[[Settings], Iterable[Finding]], ...] = (
        check_keys_and_folders,
        check_port,
        check_models,
        check_disk,
    )
    for check in checks:
        try:
            yield from check(settings)
        except (SettingsError, StoreError, OSError) as error:
            yield Finding(check.__name__.removeprefix("check_"), "wrong", str(error))


def check_versions() -> Iterator[Finding]:
    """Yield the versions of Python and of the packages."""
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")
    for name in NEEDED:
        try:
            yield Finding("package", "ok", f"{name} {version(name)}")
        except PackageNotFoundError:
            remedy = "pip install zserve, or `make install` in a checkout"
            yield Finding("package", "wrong", f"{name} is not installed", remedy)
    for name, remedy in OPTIONAL.items():
        try:
            yield Finding("package", "ok", f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding("package", "note", f"{name} is not installed", remedy)


def check_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> Finding:
    """Return which instructions for products of integers the processor has."""
    machine = platform.machine()
    try:
        text = cpuinfo.read_text()
    except OSError:
        return Finding("processor", "ok", f"{machine}; its instructions are not listed here")
    lines = (line for line in text.splitlines() if line.startswith(("flags", "Features")))
    flags = next(lines, "").partition(":")[2].split()
    present = [name for name in INSTRUCTIONS if name in flags]
    return Finding(
        "processor", "ok", f"{machine} with {', '.join(present) or 'no vector instructions'}"
    )


def check_device() -> Finding:
    """Return which device models run on."""
    if not has_gpu():
        return Finding("device", "ok", "CPU; no NVIDIA driver finds a GPU")
    reason = unusable_reason()
    if reason is None:
        return Finding("device", "ok", "GPU")
    return Finding(
        "device", "note", f"CPU; the GPU cannot be used: {reason}", "pip install 'zserve[cuda]'"
    )


def check_keys_and_folders(settings: Settings) -> Iterator[Finding]:
    """Yield whether the files and folders that settings name can be used."""
    if settings.api_keys is not None:
        read_keys(settings.api_keys)
        yield Finding("api keys", "ok", str(settings.api_keys))
    workers = choose_workers(settings)
    check_folders(settings, workers, os.environ)
    yield Finding("workers", "ok", f"{workers}, temporary files in {tempfile.gettempdir()}")


def check_port(settings: Settings) -> Iterator[Finding]:
    """Yield whether the service could listen."""
    place = f"{settings.host}:{settings.port}"
    try:
        infos = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in infos[:1]:
            with socket.socket(family, kind, protocol) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
    except OSError as error:
        remedy = f"stop what listens there, or choose another with --port or {PREFIX}PORT"
        yield Finding("port", "wrong", f"{place}: {error.strerror or error}", remedy)
        return
    yield Finding("port", "ok", f"{place} is free")


def check_models(settings: Settings) -> Iterator[Finding]:
    """Yield whether the store answers, the default model is sound, and exact bytes are right."""
    check_store(settings)
    store = open_served_store(settings)
    refs = [ModelRef(name=name, version=v) for name in store.names() for v in store.versions(name)]
    versions, models = counted(len(refs), "version"), counted(len(store.names()), "model")
    yield Finding("store", "ok", f"{store}: {versions} of {models}")
    damaged = list(_damaged(store, refs))
    for line in damaged:
        yield Finding("store", "wrong", line, "`zserve models verify` says more; pull it again")
    ref = ModelRef.parse(settings.model)
    try:
        manifest = store.verify(ref)
    except StoreError as error:
        remedy = f"choose another with --model or {PREFIX}MODEL; `zserve models list` lists them"
        yield Finding("model", "wrong", str(error), remedy)
        return
    if manifest.arithmetic == "float":
        torch = importlib.util.find_spec("torch") is not None
        remedy = "" if torch else "pip install 'zserve[torch]'"
        text = f"{manifest.ref} is a float version, which needs torch"
        yield Finding("model", "ok" if torch else "wrong", text, remedy)
        return
    executor = golden.fastest_installed()
    text = f"{manifest.ref}: this machine computes the golden hashes of {manifest.arithmetic}, by {executor}"
    yield Finding("arithmetic", "ok", text)


def _damaged(store: Store, refs: Iterable[ModelRef]) -> Iterator[str]:
    """Yield what is wrong with the manifest of each version, if anything."""
    for ref in refs:
        try:
            store.manifest(ref)
        except StoreError as error:
            yield str(error)


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Yield whether there is room for another version."""
    store = open_served_store(settings)
    if not store.in_folder:
        return
    folder = store.root.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB are free in {folder}"
    if not os.access(folder, os.W_OK):
        yield Finding("disk", "note", f"{folder} cannot be written: training cannot publish there")
    elif free < ENOUGH_FREE_BYTES:
        yield Finding(
            "disk", "wrong", text, "`zserve models prune` lists versions that nobody needs"
        )
    else:
        yield Finding("disk", "ok", text)
