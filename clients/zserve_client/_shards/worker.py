"""Make shards: fetch, pack, and keep each of them. `python -m` runs one worker of a job.

A worker process reads lines of JSON: first the address of the service, the place of the shards and
the plan, then the number of a shard each. It answers with lines of JSON: how many images arrived,
and at last the record of the shard or an error. It ends with its standard input.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Any

from zserve_client._retry import RetryPolicy
from zserve_client._shards.packing import Report, fetch, pack
from zserve_client._shards.plan import JobPlan, Shard
from zserve_client._shards.storage import Storage, open_storage
from zserve_client._transport import Transport
from zserve_client.errors import (
    NoAnswerError,
    ServerError,
    StorageError,
    UnavailableError,
    UnexpectedAnswerError,
    ZserveError,
)

POLICY = RetryPolicy(retries=6, longest_wait_s=60.0)
TEMPORARY = (NoAnswerError, ServerError, StorageError, UnavailableError, UnexpectedAnswerError)
"""Errors after which the same shard may succeed."""
TOKEN_VARIABLE = "ZSERVE_TOKEN"  # noqa: S105 - the name of a variable


def connect(url: str) -> Transport:
    """Return a transport to a service, with the key in ZSERVE_TOKEN if it is set."""
    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"User-Agent": "zserve-client"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return Transport(url, policy=POLICY, headers=headers)


def make_shard(url: str, storage: Storage, shard: Shard, report: Report) -> Mapping[str, Any]:
    """Make a shard and return its record; a shard that has one by now is left as it is.

    Each shard has a connection of its own: a balancer of connections chooses a replica for each,
    and replicas that were added to a service get their share.
    """
    record = read_record(storage, shard, storage.size(shard.file))
    if record is not None:
        report(shard.images)
        return record
    with (
        tempfile.TemporaryDirectory(prefix=f"{shard.name}-", dir=storage.scratch()) as folder,
        closing(connect(url)) as transport,
    ):
        path = Path(folder) / shard.file
        pack(shard, transport.run(fetch(shard, Path(folder), report)), path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        record = shard.record(path.stat().st_size, sha256)
        storage.keep(shard.file, path)
    storage.write(shard.record_file, json.dumps(record).encode() + b"\n")
    return record


def read_record(storage: Storage, shard: Shard, size: int | None) -> Mapping[str, Any] | None:
    """Return the record of a shard, or None if there is no whole shard with it.

    `size` is the size of the tar file in bytes, or None if there is no such file.
    """
    content = None if size is None else storage.read(shard.record_file)
    try:
        record = {} if content is None else json.loads(content)
        whole = shard.record(record["filesize"], record["sha256"])
    except (ValueError, KeyError, TypeError):
        return None
    return whole if whole == record and size == record["filesize"] else None


def run(lines: IO[str], send: Callable[[Mapping[str, Any]], None]) -> None:
    """Make the shards whose numbers are read, until the lines end."""
    job = json.loads(lines.readline())
    plan = JobPlan.from_json(job["plan"].encode(), job["place"])
    storage = open_storage(job["place"])
    for line in lines:
        try:
            shard = plan.shard(int(line))
            record = make_shard(job["url"], storage, shard, lambda n: send({"images": n}))
            send({"record": record})
        except ZserveError as error:
            send({"error": str(error), "temporary": isinstance(error, TEMPORARY)})
        except OSError as error:
            send({"error": f"{error.filename}: {error.strerror or error}", "temporary": False})


def main() -> None:
    """Run a worker on standard input and output, until the job ends or is interrupted."""

    def send(message: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    try:
        run(sys.stdin, send)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(1)  # the job has ended: nobody reads a message


if __name__ == "__main__":
    main()
