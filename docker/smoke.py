"""Check the Dockerfile: build the image, run it, wait until it is healthy, request 16 samples.

    python docker/smoke.py        (make docker-smoke)

With a container engine, the image itself is built and run. Without one, on Linux as root, the
Dockerfile is replayed: each stage is a folder entered by chroot. This machine's /usr takes the place
of the base image, with the running Python mounted over /usr/local. COPY copies the files that
.dockerignore allows, RUN runs in the folder, and the last stage is started as its USER, without
privileges, on a read-only root, and without access to the checkout. The replay does not check the
base image.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import string
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
HEALTHY_WITHIN_S = 120
STOPPED_WITHIN_S = 20
BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
# Variables about package registries and proxies: passed to RUN, not to the service.
BUILD_ENVIRONMENT = re.compile(r"(PIP|UV|SSL|REQUESTS)_|(https?|no)_proxy$", re.IGNORECASE)
ENTER = """
set -eu
root=$1 python=$2 access=$3; shift 3
mount --bind "$root" "$root"
mount --rbind /usr "$root/usr"
mount -o remount,bind,ro "$root/usr"
mkdir -p "$root$python"
mount --bind "$python" "$root$python" # Python looks for its libraries here
mount -t overlay overlay -o "lowerdir=$python:/usr/local" "$root/usr/local"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
if [ "$access" = ro ]; then
    mount -t tmpfs tmpfs "$root/tmp"
    mount -o remount,bind,ro "$root"
fi
exec chroot "$root" "$@"
"""


@dataclass
class Stage:
    """One FROM of the Dockerfile, replayed in the folder `root`."""

    root: Path
    python: Path
    env: dict[str, str] = field(default_factory=lambda: {"PATH": BASE_PATH})
    workdir: str = "/"
    user: str = "0:0"
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    def lay_out(self) -> None:
        """Create an empty system: the folders, a copy of /etc, and mount points."""
        for folder in ("usr", "dev", "proc", "tmp", "root", "opt", "home", "var", "run"):
            self.root.joinpath(folder).mkdir(parents=True)
        self.root.chmod(0o755)
        self.root.joinpath("tmp").chmod(0o1777)
        for name in ("bin", "sbin", "lib", "lib64"):
            self.root.joinpath(name).symlink_to(f"usr/{name}")
        subprocess.run(["cp", "--archive", "/etc", str(self.root)], check=True)

    def path(self, inside: str) -> Path:
        """Return the path on this machine of a path of the image."""
        return self.root / Path(self.workdir, inside).relative_to("/")

    def enter(self, command: list[str], access: str, extra: dict[str, str]) -> list[str]:
        """Return a command line that runs `command` in the stage, in namespaces of its own."""
        uid, _, gid = self.user.partition(":")
        inner = ["env", f"--chdir={self.workdir}"]
        if uid != "0":
            drop = ["--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
            inner = ["setpriv", f"--reuid={uid}", f"--regid={gid}", *drop, *inner]
        environment = [f"{name}={value}" for name, value in {**self.env, **extra}.items()]
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        entry = ["sh", "-c", ENTER, "enter", str(self.root), str(self.python), access]
        return [*namespaces, *entry, "env", "-i", *environment, *inner, *command]


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile; continued lines are joined, comments left out."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def is_allowed(path: str, ignore: list[str]) -> bool:
    """Return True if .dockerignore allows `path`, relative to the checkout, in the build."""
    allowed = True
    candidates = [path, *map(str, Path(path).parents)][:-1]
    for line in ignore:
        pattern = re.escape(line.lstrip("!").strip("/")).replace(r"\*\*/", "(.*/)?")
        expression = re.compile(pattern.replace(r"\*", "[^/]*"))
        if any(expression.fullmatch(candidate) for candidate in candidates):
            allowed = line.startswith("!")
    return allowed


def copy_in(source: str, target: Path, ignore: list[str]) -> None:
    """Copy the allowed files of a file or folder of the checkout."""
    here = ROOT / source
    files = [here] if here.is_file() else [file for file in here.rglob("*") if file.is_file()]
    kept = [file for file in files if is_allowed(str(file.relative_to(ROOT)), ignore)]
    if not kept:
        sys.exit(f"Dockerfile: COPY {source}: .dockerignore excludes all of it")
    for file in kept:
        place = target if here.is_file() else target / file.relative_to(here)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)


def shell_or_exec(rest: str) -> list[str]:
    """Return the command of a CMD or RUN in shell form or exec form."""
    return list(json.loads(rest)) if rest.startswith("[") else ["/bin/sh", "-c", rest]


def replay(folder: Path) -> Stage:  # noqa: C901, PLR0912 - a case for each instruction
    """Run the instructions of the Dockerfile and return its last stage."""
    ignore = [line for line in _lines(ROOT / ".dockerignore") if not line.startswith("#")]
    python = _python_prefix(folder)
    stages: dict[str, Stage] = {}
    stage = Stage(folder, python)
    for word, rest in instructions((ROOT / "Dockerfile").read_text()):
        words = shlex.split(string.Template(rest).safe_substitute(stage.env))
        match word:
            case "FROM":
                name = words[-1] if "AS" in words else str(len(stages))
                stage = stages[name] = Stage(folder / f"stage-{name}", python)
                stage.lay_out()
            case "ARG" | "ENV":
                stage.env |= dict(pair.split("=", 1) for pair in words)
            case "WORKDIR":
                stage.workdir = words[0]
                stage.path(".").mkdir(parents=True, exist_ok=True)
            case "COPY" if words[0].startswith("--from="):
                source = stages[words[0].removeprefix("--from=")].path(words[1])
                stage.path(words[2]).parent.mkdir(parents=True, exist_ok=True)
                copy = ["cp", "--archive", "--link", str(source), str(stage.path(words[2]))]
                subprocess.run(copy, check=True)
            case "COPY" if len(words) == 2:
                copy_in(words[0], stage.path(words[1]), ignore)
            case "RUN":
                print(f"RUN {rest}", flush=True)
                with _registries(stage) as variables:
                    inside = stage.enter(shell_or_exec(rest), "rw", variables)
                    if code := subprocess.run(inside, check=False).returncode:
                        sys.exit(f"Dockerfile: RUN ended with code {code}: {rest}")
            case "USER":
                stage.user = words[0]
            case "CMD":
                stage.command = shell_or_exec(rest)
            case "HEALTHCHECK":
                stage.healthcheck = shell_or_exec(rest.partition("CMD ")[2].strip())
            case "EXPOSE" | "LABEL":
                pass
            case _:
                sys.exit(f"Dockerfile: docker/smoke.py cannot replay {word} {rest}")
    return stage


@contextlib.contextmanager
def _registries(stage: Stage) -> Iterator[dict[str, str]]:
    """Make the user's registry settings available to one RUN; yields its environment."""
    settings = stage.root / "root" / ".config"
    for tool in ("pip", "uv"):
        own = Path.home() / ".config" / tool
        if own.is_dir():
            shutil.copytree(own, settings / tool)
    variables = {name: value for name, value in os.environ.items() if BUILD_ENVIRONMENT.match(name)}
    variables.pop("UV_CACHE_DIR", None)
    try:
        yield {**variables, "HOME": "/root"}
    finally:
        shutil.rmtree(settings, ignore_errors=True)


def _python_prefix(folder: Path) -> Path:
    """Return the folder to use as /usr/local of the base image; it has bin/python."""
    prefix = Path(sys.base_prefix)
    if prefix.joinpath("bin", "python").exists() and prefix != Path("/usr"):
        return prefix
    stand_in = folder / "local"
    stand_in.joinpath("bin").mkdir(parents=True)
    for name in ("python", "python3"):
        stand_in.joinpath("bin", name).symlink_to(os.path.realpath(sys.executable))
    return stand_in


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text().splitlines() if line.strip()]


def ask_for_samples(port: int) -> None:
    """Request POST /generate?n=16 and check that a PNG comes back."""
    url = f"http://127.0.0.1:{port}/generate?n=16"
    request = urllib.request.Request(url, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - built above
        body = answer.read()
        model = answer.headers["X-Model"]
    if not body.startswith(PNG_MAGIC):
        sys.exit(f"POST /generate?n=16: expected a PNG, got {body[:80]!r}")
    print(f"POST /generate?n=16: a PNG of {len(body)} bytes by {model}")


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def smoke_replayed() -> None:
    """Replay the Dockerfile in a temporary folder and test the service in it."""
    with tempfile.TemporaryDirectory(prefix="zserve-smoke-") as scratch:
        image = replay(Path(scratch))
        variables = {"ZSERVE_PORT": str(free_port())}
        server = subprocess.Popen(image.enter(image.command, "ro", variables))
        try:
            check = image.enter(image.healthcheck, "ro", variables)
            deadline = time.monotonic() + HEALTHY_WITHIN_S
            while subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode != 0:
                if server.poll() is not None:
                    sys.exit(f"the service stopped unexpectedly with code {server.returncode}")
                if time.monotonic() > deadline:
                    sys.exit(f"not healthy within {HEALTHY_WITHIN_S} s")
                time.sleep(0.5)
            ask_for_samples(int(variables["ZSERVE_PORT"]))
            children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
            os.kill(int(children.read_text().split()[0]), 15)
            code = server.wait(timeout=STOPPED_WITHIN_S)
            print(f"stopped by SIGTERM with code {code}")
        finally:
            server.kill()
            server.wait()


def smoke_in_docker() -> None:
    """Build the image, run it as compose.yaml does, and test it."""

    def docker(*words: str) -> str:
        return subprocess.run(
            ["docker", *words], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    docker("build", "--tag", "zserve:smoke", str(ROOT))
    confined = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]
    confined += ["--security-opt=no-new-privileges", "--publish=127.0.0.1::8000"]
    container = docker("run", "--detach", *confined, "zserve:smoke")
    try:
        deadline = time.monotonic() + HEALTHY_WITHIN_S
        state = ""
        while state != "healthy":
            if time.monotonic() > deadline:
                sys.exit(f"{state}, not healthy within {HEALTHY_WITHIN_S} s")
            time.sleep(1)
            state = docker("inspect", "--format={{.State.Health.Status}}", container)
        ask_for_samples(int(docker("port", container, "8000").rpartition(":")[2]))
        docker("stop", container)
    finally:
        docker("rm", "--force", container)


def main() -> None:
    """Use a container engine if one answers, else replay the Dockerfile."""
    engine = shutil.which("docker") and subprocess.run(
        ["docker", "info"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    if engine and engine.returncode == 0:
        smoke_in_docker()
    elif sys.platform == "linux" and os.geteuid() == 0:
        print("no container engine answers: replaying the Dockerfile in a bare root folder")
        smoke_replayed()
    else:
        sys.exit("docker/smoke.py needs a container engine, or root on Linux for the replay")
    print("passed")


if __name__ == "__main__":
    main()
