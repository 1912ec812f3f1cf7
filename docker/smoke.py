"""Build the image and run it: start, every endpoint, promote, drain, stop.

    python docker/smoke.py [--image IMAGE]        (make docker-smoke)

With --image, an image is checked that was built before. Needs docker or podman, see
container_engine.py; without one, the exit status is 3. Each container runs
as compose.yaml runs it, on a read-only root without capabilities, and its shell is replaced by an empty
file: nothing may need it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import io
import json
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

from container_engine import NO_ENGINE, Engine, EngineError, find_engine
from endpoint_calls import Caller, CallError, call_every_endpoint

ROOT = Path(__file__).resolve().parent.parent
TAG = "zserve:smoke"
HEALTHY_WITHIN_S = 120
PATIENCE_S = 40
"""stop_grace_period of compose.yaml."""
TIMEOUT_S = 2
"""ZSERVE_SHUTDOWN_TIMEOUT_S of the service that a client holds up."""
DELAY_S = 2
"""ZSERVE_SHUTDOWN_DELAY_S: the time in which a load balancer notices."""
SEEN_WITHIN_S = 5
"""Longest time from a promotion to the moment at which all workers answer by it."""
MOST_BYTES = 1_000_000_000
"""Size of the largest image without CUDA."""
CONFINED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
SHELLS = ("/usr/bin/dash", "/usr/bin/bash")
USER = "10001"
TOKEN = "smoke"  # noqa: S105 - guards a service that lives for a minute
INSPECT = """
import errno, os
try:
    open("/opt/zserve/written", "w")
    root = "writable"
except OSError as error:
    root = errno.errorcode[error.errno]
capabilities = [line.split()[1] for line in open("/proc/1/status") if line.startswith("CapEff")]
print(os.getuid(), root, *capabilities)
"""
"""Prints the user, the error of writing to the root, and the capabilities of the service."""


class Smoke:
    """The checks of an image.

    Args:
        engine: Engine that has the image.
        image: Name of the image.
    """

    def __init__(self, engine: Engine, image: str) -> None:
        self.engine = engine
        self.image = image
        self.healthcheck = engine.healthcheck(image)

    @contextlib.contextmanager
    def running(self, *options: str, **variables: str) -> Iterator[tuple[str, int]]:
        """Run a container until the end of the block; yields its id and its port, when healthy."""
        port = free_port()
        variables |= {"ZSERVE_PORT": str(port)}
        settings = [f"--env={name}={value}" for name, value in variables.items()]
        with tempfile.NamedTemporaryFile() as empty:
            Path(empty.name).chmod(0o444)
            shells = [f"--volume={empty.name}:{shell}:ro" for shell in SHELLS]
            published = f"--publish=127.0.0.1:{port}:{port}"
            began = time.monotonic()
            container = self.engine.start(
                self.image, *CONFINED, *shells, published, *settings, *options
            )
            try:
                self.wait_until_healthy(container)
                print(f"healthy after {time.monotonic() - began:.1f} s")
                yield container, port
            except BaseException:
                print(self.engine.logs(container), file=sys.stderr)
                raise
            finally:
                self.engine.remove(container)

    def wait_until_healthy(self, container: str) -> None:
        """Run the command of HEALTHCHECK in the container until it succeeds."""
        deadline = time.monotonic() + HEALTHY_WITHIN_S
        while (check := self.engine.execute(container, self.healthcheck)).returncode != 0:
            if not self.engine.is_running(container):
                raise EngineError(f"the service ended: {self.engine.exit_status(container)}")
            if time.monotonic() > deadline:
                raise EngineError(f"not healthy within {HEALTHY_WITHIN_S} s: {check.stderr}")
            time.sleep(0.2)

    def check_default_container(self) -> None:
        """Check user, file system and shell of a container with the default settings, and stop it."""
        with self.running() as (container, port):
            command = ["python", "-I", "-S", "-c", INSPECT]
            done = self.engine.execute(container, command)
            expected = f"{USER} EROFS 0000000000000000"
            if done.stdout.strip() != expected:
                raise EngineError(f"expected {expected}, got {done.stdout} {done.stderr}")
            if self.engine.execute(container, ["/bin/sh", "-c", "exit 0"]).returncode == 0:
                raise EngineError(
                    "the shell can still be run, so nothing shows that it is not needed"
                )
            print(f"user {USER}, read-only root, no capabilities, no shell")
            Caller(f"http://127.0.0.1:{port}").png("POST", "/generate", "?n=16")
            self.stop(container)

    def check_service(self, store: Path) -> None:
        """Call every endpoint, promote, and drain a service of two workers with a store of its own."""
        variables = {
            "ZSERVE_STORE": "/store",
            "ZSERVE_ADMIN_TOKEN": TOKEN,
            "ZSERVE_WORKERS": "2",
            "ZSERVE_SHUTDOWN_DELAY_S": str(DELAY_S),
        }
        with self.running(f"--volume={store}:/store", **variables) as (container, port):
            url = f"http://127.0.0.1:{port}"
            print(f"{call_every_endpoint(url, TOKEN)} endpoints answer")
            self.promote(Caller(url, TOKEN))
            self.drain(container, port)

    def promote(self, caller: Caller) -> None:
        """Promote the second version of `lab`, and back, as an unprivileged user of a mounted store."""
        for version in (5, 4):
            place = "/models/{name}/aliases/{alias}"
            names = {"name": "lab", "alias": "production"}
            caller.call("PUT", place, body={"version": version}, **names)
            deadline = time.monotonic() + SEEN_WITHIN_S  # the other worker looks a moment later
            while (model := _model_of(caller)) != f"lab@{version}":
                if time.monotonic() > deadline:
                    raise CallError(f"lab@{version} was promoted, and {model} answers")
                time.sleep(0.05)
        print("promoted lab@5, and lab@4 again")

    def drain(self, container: str, port: int) -> None:
        """Stop the service while clients use it: all their requests are answered."""
        clients = [Client(port), Client(port)]
        stopping = threading.Thread(target=self.stop, args=(container,))
        with start_download(port) as download:
            stopping.start()
            time.sleep(DELAY_S / 2)
            if status(port, "/readyz") != 503 or status(port, "/generate?n=1") != 200:
                raise EngineError("a stopping service must answer 503 to /readyz alone")
            images = len(zipfile.ZipFile(io.BytesIO(download.read())).namelist())
        stopping.join()
        answered = [client.finish() for client in clients]
        print(f"drained: {sum(answered)} requests answered, a download of {images} files complete")

    def check_patience(self) -> None:
        """Stop a service while a client does not read its answer: it ends all the same."""
        with (
            self.running(ZSERVE_WORKERS="1", ZSERVE_SHUTDOWN_TIMEOUT_S=str(TIMEOUT_S)) as running,
            start_download(running[1]),
        ):
            self.stop(running[0])

    def stop(self, container: str) -> None:
        """Stop a container, which must end by itself, before SIGKILL."""
        began = time.monotonic()
        self.engine.stop(container, PATIENCE_S)
        seconds = time.monotonic() - began
        code = self.engine.exit_status(container)
        if code not in {0, 143}:
            raise EngineError(f"the service ended with status {code} after {seconds:.1f} s")
        print(f"stopped by SIGTERM with status {code} after {seconds:.1f} s")


class Client:
    """Sends requests one after the other on one connection, until the service ends it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._answered = 0
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def finish(self) -> int:
        """Return the number of answered requests; raises CallError if one was lost."""
        self._thread.join()
        if self._failure is not None:
            raise CallError(f"a request was lost: {self._failure!r}")
        return self._answered

    def _run(self) -> None:
        try:
            while True:
                self._connection.request("GET", "/generate?n=4")
                answer = self._connection.getresponse()
                answer.read()
                if answer.status != 200:
                    raise CallError(f"status {answer.status}")  # noqa: TRY301 - kept for finish()
                self._answered += 1
                if answer.getheader("Connection") == "close":
                    return
        except Exception as error:  # noqa: BLE001 - of a thread
            self._failure = error


@contextlib.contextmanager
def start_download(port: int) -> Iterator[http.client.HTTPResponse]:
    """Begin to download an archive of many images; yields the answer, which is not read yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/generate?n=3000&seed=1&scale=8&format=zip")
        answer = connection.getresponse()
        if answer.status != 200:
            raise CallError(f"the archive was answered with {answer.status}")
        yield answer
    finally:
        connection.close()


def _model_of(caller: Caller) -> str:
    return str(caller.call("GET", "/generate", "?n=1&model=lab").headers["X-Model"])


def status(port: int, path: str) -> int:
    """Return the status of a GET on a new connection."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def lay_out_store(folder: Path) -> None:
    """Make a store that user 10001 may write, with `mnist`, and `lab` in two versions."""
    for name in ("mnist", "lab"):
        shutil.copytree(ROOT / "weights" / name, folder / name)
    second = shutil.copytree(folder / "lab" / "4", folder / "lab" / "5")
    manifest = second / "manifest.json"
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**document, "version": 5}))
    sums = second / "SHA256SUMS"
    lines = [line for line in sums.read_text().splitlines() if not line.endswith(" manifest.json")]
    lines.append(f"{hashlib.sha256(manifest.read_bytes()).hexdigest()}  manifest.json")
    sums.write_text("\n".join(sorted(lines, key=lambda line: line.split()[1])) + "\n")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o777)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def show_size(engine: Engine, image: str) -> None:
    """Print what each layer weighs; raises EngineError if the image is too large."""
    size = engine.size(image)
    print(f"image: {size / 1e6:.1f} MB")
    for layer, text in engine.layers(image):
        print(f"{layer:>8}  {text[:100]}")
    if size > MOST_BYTES and "TORCH=cuda" not in engine.build_options:
        raise EngineError(f"the image has more than {MOST_BYTES / 1e6:.0f} MB")


def main() -> None:
    """Find an engine, build, and check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--image", help="check this image, and build none")
    image = parser.parse_args().image
    try:
        engine = find_engine()
    except EngineError as error:
        print(f"docker-smoke: {error}", file=sys.stderr)
        sys.exit(NO_ENGINE)
    try:
        if image is None:
            image = TAG
            engine.build(image, ROOT)
        show_size(engine, image)
        smoke = Smoke(engine, image)
        smoke.check_default_container()
        with tempfile.TemporaryDirectory(prefix="zserve-smoke-") as folder:
            Path(folder).chmod(0o755)
            store = Path(folder, "store")
            lay_out_store(store)
            smoke.check_service(store)
        smoke.check_patience()
    except (EngineError, CallError) as error:
        sys.exit(f"docker-smoke: {error}")
    print("passed")


if __name__ == "__main__":
    main()
