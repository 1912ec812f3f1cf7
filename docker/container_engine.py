"""Run containers with docker or podman, whichever is there."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

NO_ENGINE = 3
"""Exit status if there is no container engine."""


class EngineError(Exception):
    """A command of the engine failed, or there is no engine."""


@dataclass(frozen=True)
class Engine:
    """A container engine.

    Attributes:
        command: Its command, with options that all of its commands get.
        build_options: Options of each build.
        run_options: Options of each container.
    """

    command: list[str]
    build_options: list[str] = field(default_factory=list)
    run_options: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the program."""
        return Path(self.command[0]).name

    def build(self, tag: str, folder: Path) -> None:
        """Build the image of a folder, and show what the build prints."""
        # podman's own format of images has no HEALTHCHECK.
        form = ["--format", "docker"] if self.name == "podman" else []
        self._run("build", *form, *self.build_options, "--tag", tag, str(folder), show=True)

    def size(self, tag: str) -> int:
        """Return the bytes of an image."""
        return int(self._run("image", "inspect", "--format", "{{.Size}}", tag))

    def layers(self, tag: str) -> list[tuple[str, str]]:
        """Return size and instruction of each layer that is not empty, the lowest first."""
        rows = self._run("history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", tag)
        parts = [line.partition("\t") for line in rows.splitlines()]
        return [
            (size, text.strip()) for size, _, text in reversed(parts) if not size.startswith("0")
        ]

    def healthcheck(self, tag: str) -> list[str]:
        """Return the command of the HEALTHCHECK of an image, which is run without a shell."""
        (config,) = json.loads(self._run("image", "inspect", tag))
        check = config["Config"].get("Healthcheck") or config.get("Healthcheck")
        kind, *command = check["Test"]
        if kind != "CMD":
            raise EngineError(f"the HEALTHCHECK needs a shell: {check['Test']}")
        return [str(word) for word in command]

    def start(self, tag: str, *options: str) -> str:
        """Start a container in the background, and return its id."""
        return self._run("run", "--detach", *self.run_options, *options, tag).splitlines()[-1]

    def execute(self, container: str, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in a container."""
        return subprocess.run(
            [*self.command, "exec", container, *command],
            capture_output=True,
            text=True,
            check=False,
        )

    def is_running(self, container: str) -> bool:
        """Return True until the first process of the container has ended."""
        return self._run("inspect", "--format", "{{.State.Running}}", container) == "true"

    def exit_status(self, container: str) -> int:
        """Return the exit status of a container that has ended."""
        return int(self._run("inspect", "--format", "{{.State.ExitCode}}", container))

    def logs(self, container: str) -> str:
        """Return what the container has printed."""
        done = subprocess.run(
            [*self.command, "logs", container], capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def stop(self, container: str, patience_s: int) -> None:
        """Send SIGTERM, and SIGKILL `patience_s` later; return when the container has ended."""
        self._run("stop", "--time", str(patience_s), container)

    def remove(self, container: str) -> None:
        """Remove a container, whether it runs or not."""
        self._run("rm", "--force", container)

    def _run(self, *words: str, show: bool = False) -> str:
        """Return what a command of the engine prints; raises EngineError if it fails."""
        output = None if show else subprocess.PIPE
        done = subprocess.run(
            [*self.command, *words], stdout=output, stderr=output, text=True, check=False
        )
        if done.returncode:
            detail = "see above" if show else done.stderr.strip()
            command = shlex.join([*self.command, *words])
            raise EngineError(f"{command} ended with status {done.returncode}: {detail}")
        return (done.stdout or "").strip()


def find_engine() -> Engine:
    """Return the engine in the variable ENGINE, or else docker or podman if one of them answers.

    ENGINE may have options, such as `podman --runtime runc`. ENGINE_BUILD_ARGS and ENGINE_RUN_ARGS are
    options of each build and of each container. Raises EngineError if there is no engine.
    """
    chosen = os.environ.get("ENGINE")
    candidates = [shlex.split(chosen)] if chosen else [["docker"], ["podman"]]
    for command in candidates:
        if shutil.which(command[0]) is None:
            continue
        info = subprocess.run([*command, "info"], capture_output=True, text=True, check=False)
        if info.returncode == 0:
            build, run = (
                shlex.split(os.environ.get(variable, ""))
                for variable in ("ENGINE_BUILD_ARGS", "ENGINE_RUN_ARGS")
            )
            return Engine(command, build, run)
        if chosen:
            raise EngineError(f"ENGINE={chosen} does not answer: {info.stderr.strip()}")
    names = " or ".join(command[0] for command in candidates)
    raise EngineError(
        f"no container engine answers: install and start {names}, or name another one in ENGINE"
    )
