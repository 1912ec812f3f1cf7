"""Shards in an object store: jobs with SeaweedFS, a real S3 server, and with Azurite."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.test_shards import LABELLED, options, tree
from tests.object_store.server import SCHEMES, Server, running_server
from zserve_client import InputError, StorageError
from zserve_client._shards.job import run_job
from zserve_client._shards.storage import ObjectStorage, open_storage

pytestmark = pytest.mark.objects
PART_BYTES = 5 * 2**20
"""Above this size, an upload has several parts."""


@pytest.fixture(scope="module", params=SCHEMES)
def server(request: pytest.FixtureRequest) -> Server:
    return running_server(request.param)


@pytest.fixture
def address(server: Server) -> str:
    return server.new_address()


def contents(address: str) -> dict[str, bytes]:
    storage = open_storage(address)
    return {name: storage.read(name) or b"" for name in storage.sizes()}


def test_a_bucket_gets_the_files_of_a_folder(address: str, url: str, tmp_path: Path):
    job = run_job(url, address, options(n=70, **LABELLED), processes=2)
    assert job.fetched == 140
    run_job(url, str(tmp_path / "set"), options(n=70, **LABELLED), processes=2)
    assert contents(address) == tree(tmp_path / "set")
    assert run_job(url, address, options(n=70, **LABELLED), processes=1).fetched == 0


def test_a_killed_job_continues_in_a_bucket(address: str, url: str, tmp_path: Path):
    words = "--n 100 --model named --label all --seed 5 --shard-images 60 --processes 2"
    command = [sys.executable, "-m", "zserve_client", "generate", *words.split()]
    command += ["--url", url, "--out", address]
    process = subprocess.Popen(command, start_new_session=True)
    storage = open_storage(address)
    while process.poll() is None and not any(name.endswith(".tar") for name in storage.sizes()):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert storage.read("index.json") is None
    subprocess.run(command, capture_output=True, text=True, check=True)
    run_job(url, str(tmp_path / "set"), options(n=100, **LABELLED), processes=1)
    assert contents(address) == tree(tmp_path / "set")


def test_a_file_in_several_parts_arrives_whole(address: str, tmp_path: Path):
    content = os.urandom(2 * PART_BYTES + 12345)
    (tmp_path / "large.tar").write_bytes(content)
    storage = open_storage(address)
    storage.keep("large.tar", tmp_path / "large.tar")
    assert storage.sizes() == {"large.tar": len(content)}
    assert storage.size("large.tar") == len(content)
    assert storage.read("large.tar") == content


def test_an_upload_that_breaks_off_leaves_nothing(address: str):
    def parts() -> Iterator[bytes]:
        yield bytes(PART_BYTES)
        yield bytes(PART_BYTES)
        raise OSError("the disk is gone")

    storage = open_storage(address)
    assert isinstance(storage, ObjectStorage)
    with pytest.raises(Exception, match="the disk is gone"):
        storage._library.put(storage._store, "broken.tar", parts())
    assert storage.sizes() == {}
    assert storage.is_empty()


def test_the_first_plan_in_a_bucket_counts(address: str):
    storage = open_storage(address)
    assert storage.create("job.json", b"the first")
    assert not storage.create("job.json", b"the second")
    assert storage.read("job.json") == b"the first"


def test_a_prefix_with_other_objects_is_left_alone(address: str, url: str):
    open_storage(address).write("photo.jpg", b"")
    with pytest.raises(InputError, match="holds other files"):
        run_job(url, address, options(), processes=1)


@pytest.mark.parametrize("problem", ["no bucket", "credentials", "away"])
def test_a_store_that_cannot_be_used_is_one_line(server: Server, problem: str, url: str):
    bucket = "no-such-bucket" if problem == "no bucket" else "models"
    place = f"{server.scheme}://{bucket}/set"
    variables = server.environment(9 if problem == "away" else server.port)
    if problem == "credentials":
        variables[server.secret] = server.wrong_secret
    command = [sys.executable, "-m", "zserve_client", "generate", "--n", "5", "--out", place]
    done = subprocess.run(
        [*command, "--url", url],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"zserve: {place}: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_store_that_refuses_raises_an_error_of_the_client(
    server: Server, address: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(server.secret, server.wrong_secret)
    with pytest.raises(StorageError):
        open_storage(address).sizes()


def test_the_index_of_a_bucket_lists_what_is_there(address: str, url: str):
    run_job(url, address, options(n=70, **LABELLED), processes=1)
    index: dict[str, Any] = json.loads(open_storage(address).read("index.json") or b"{}")
    sizes = open_storage(address).sizes()
    assert {s["url"]: s["filesize"] for s in index["shardlist"]} == {
        name: size for name, size in sizes.items() if name.endswith(".tar")
    }
