"""SeaweedFS, an S3 server, and Azurite, which speaks as Azure Blob Storage does, on loopback.

`make test-store` installs both.
"""

import atexit
import base64
import functools
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import ClassVar

import httpx
import obstore
import pytest

from model_store.store.objects import open_objects

WEED = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
_IDENTITIES = {
    "identities": [
        {
            "name": "tester",
            "credentials": [{"accessKey": "tester", "secretKey": "not-a-secret"}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}


_AZURITE = Path(__file__).parents[2] / "build/azurite/node_modules/azurite/dist/src/blob/main.js"


@dataclass(frozen=True)
class Server:
    """A running server with the bucket, or the container, `models`."""

    scheme: ClassVar[str]
    secret: ClassVar[str]
    """Name of the variable that has the secret."""
    wrong_secret: ClassVar[str]

    port: int

    def new_address(self) -> str:
        """Return an address under which there is nothing."""
        return f"{self.scheme}://models/{uuid.uuid4().hex}"

    def environment(self, port: int) -> dict[str, str]:
        """Return the variables by which clients find the server behind a port on loopback."""
        raise NotImplementedError


class SeaweedFS(Server):
    scheme = "s3"
    secret = "AWS_SECRET_ACCESS_KEY"
    wrong_secret = "wrong"

    def environment(self, port: int) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        }


class Azurite(Server):
    """Has one account, whose name and key are in the documentation of Azurite."""

    scheme = "az"
    secret = "AZURE_STORAGE_ACCOUNT_KEY"
    wrong_secret = base64.b64encode(b"wrong").decode()
    account = "devstoreaccount1"
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def environment(self, port: int) -> dict[str, str]:
        return {
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{self.account}",
            "AZURE_STORAGE_ACCOUNT_NAME": self.account,
            "AZURE_STORAGE_ACCOUNT_KEY": self.key,
        }


SCHEMES = [pytest.param(each, marks=pytest.mark.objects) for each in ("s3", "az")]
"""Parameters of a fixture that takes a server of each kind."""


@functools.cache
def running_server(scheme: str) -> Server:
    """Start a server of this test session, which ends with the session."""
    return _start_azurite() if scheme == "az" else _start_seaweedfs()


def _start_seaweedfs() -> Server:
    assert WEED, "weed is not installed; run `make test-store`"
    folder = Path(tempfile.mkdtemp(prefix="seaweedfs-"))
    (folder / "identities.json").write_text(json.dumps(_IDENTITIES))
    master, volume, filer, s3, *grpc = _free_ports(8)
    ports = {"master.port": master, "volume.port": volume, "filer.port": filer, "s3.port": s3}
    ports |= dict(zip((f"{name}.grpc" for name in ports), grpc, strict=True))
    command = [WEED, "server", "-s3", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [f"-{name}={port}" for name, port in ports.items()]
    command += ["-volume.minFreeSpace=64MiB", "-volume.max=20"]  # a disk may be nearly full
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-s3.config={folder / 'identities.json'}", "-master.volumeSizeLimitMB=64"]
    server = SeaweedFS(s3)
    _start(server, command, folder, lambda: _create_bucket(filer))
    return server


def _start_azurite() -> Server:
    node = shutil.which("node")
    if not node or not _AZURITE.exists():
        pytest.skip("Azurite is not installed; `make test-store` does it if there is npm")
    folder = Path(tempfile.mkdtemp(prefix="azurite-"))
    server = Azurite(_free_ports(1)[0])
    command = [node, str(_AZURITE), f"--location={folder}", "--silent", "--disableTelemetry"]
    command += ["--blobHost=127.0.0.1", f"--blobPort={server.port}"]
    _start(server, command, folder, lambda: _create_container(server))
    return server


def _start(server: Server, command: list[str], folder: Path, create: Callable[[], object]) -> None:
    """Start a process that keeps its files in the folder; wait until clients can write."""
    os.environ.update(server.environment(server.port))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    atexit.register(_end, process, folder)
    deadline = time.monotonic() + 60
    while not _is_ready(server, create):
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
        time.sleep(0.2)


def _is_ready(server: Server, create: Callable[[], object]) -> bool:
    """Create the bucket, and return True once an object can be written into it."""
    try:
        create()  # again, if the last attempt has done it: it exists then
        obstore.put(open_objects(server.new_address())._store, "object", b"content")
    except Exception:  # noqa: BLE001 - whatever it is, the server is not ready
        return False
    return True


def _create_bucket(filer: int) -> None:
    """Create the bucket, which is a folder of the filer."""
    httpx.post(f"http://127.0.0.1:{filer}/buckets/models/", trust_env=False)


def _create_container(server: Azurite) -> None:
    """Create the container by a request that is signed with the key; obstore has no such function."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    path = f"/{server.account}/{server.account}/models"  # of the account, and of its address
    lines = ["PUT", *[""] * 11, *(f"{name}:{value}" for name, value in headers.items())]
    text = "\n".join([*lines, path, "restype:container"])
    digest = hmac.digest(base64.b64decode(server.key), text.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {server.account}:{base64.b64encode(digest).decode()}"
    url = f"http://127.0.0.1:{server.port}/{server.account}/models?restype=container"
    httpx.put(url, headers=headers, trust_env=False)


def _end(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    process.kill()
    process.wait(timeout=20)
    shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
