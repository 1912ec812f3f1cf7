"""SeaweedFS, an S3 server, as a process on loopback; `make test-store` installs it."""

import atexit
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import obstore

from model_store.store.objects import open_objects

WEED = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
KEY, SECRET = "tester", "not-a-secret"
_IDENTITIES = {
    "identities": [
        {
            "name": "tester",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}


@dataclass(frozen=True)
class Server:
    """A running server with the bucket `models`."""

    port: int

    def new_address(self) -> str:
        """Return an address under which there is nothing."""
        return f"s3://models/{uuid.uuid4().hex}"


def environment(port: int, secret: str = SECRET) -> dict[str, str]:
    """Return the variables by which clients find a server on loopback."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": secret,
    }


@functools.lru_cache(maxsize=1)
def running_server() -> Server:
    """Start the server of this test session, which ends with the session."""
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
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    atexit.register(_end, process, folder)
    os.environ.update(environment(s3))
    deadline = time.monotonic() + 60
    while not _has_bucket(filer):
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
        time.sleep(0.2)
    return Server(s3)


def _has_bucket(filer: int) -> bool:
    """Create the bucket, which is a folder of the filer, and return True once S3 can write to it."""
    try:
        httpx.post(f"http://127.0.0.1:{filer}/buckets/models/", trust_env=False)  # 409: it exists
        objects = open_objects("s3://models/ready")
        obstore.put(objects._store, "object", b"content")
    except Exception:  # noqa: BLE001 - whatever it is, the server is not ready
        return False
    return True


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
