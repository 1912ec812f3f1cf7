"""Run a job: several worker processes make the shards that are missing."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from zserve_client._shards.plan import JobOptions, JobPlan, Shard, index_json, make_job_plan
from zserve_client._shards.storage import Storage, open_storage
from zserve_client._shards.worker import connect, read_record
from zserve_client._shards.workers import Counter, ProgressCallback, Workers
from zserve_client.errors import InputError

PLAN_FILE, INDEX_FILE = "job.json", "index.json"
READERS = 16
"""Number of records that are read at the same time."""


@dataclass(frozen=True)
class Job:
    """A finished job.

    Attributes:
        place: Folder or address of the shards.
        fetched: Number of images that this call fetched; earlier calls fetched the others.
    """

    place: str
    plan: JobPlan
    fetched: int


def run_job(
    url: str,
    place: str,
    options: JobOptions,
    *,
    processes: int,
    progress: ProgressCallback = lambda _done, _total: None,
) -> Job:
    """Make the missing shards of a job; raises IncompleteJobError if some remain missing."""
    if processes < 1:
        raise InputError(f"processes is {processes}; at least 1 must work")
    storage = open_storage(place)
    storage.clean()
    plan = read_or_make_plan(url, storage, options)
    records = read_records(plan, storage)
    shards = missing_shards(plan, records)
    fetched = sum(shard.images for shard in shards)
    counter = Counter(plan.images - fetched, plan.images, progress)
    workers = Workers(url, place, plan, counter)
    records |= workers.make(shards, processes)
    storage.write(INDEX_FILE, index_json(plan, [records[n] for n in sorted(records)]))
    storage.clean()
    return Job(place, plan, fetched)


def read_or_make_plan(url: str, storage: Storage, options: JobOptions) -> JobPlan:
    """Return the plan of an interrupted job, or make one; the first of two commands decides.

    A larger n, and nothing else, makes an existing job larger: whole shards stay as they are, and the
    last one, if it was not full, is made again.
    """
    content = storage.read(PLAN_FILE)
    if content is None:
        if not storage.is_empty():
            raise InputError(f"{storage} holds other files; choose an empty place")
        with closing(connect(url)) as transport:
            plan = transport.run(make_job_plan(options))
        if storage.create(PLAN_FILE, plan.to_json()):
            return plan
        content = storage.read(PLAN_FILE) or b""
    plan = JobPlan.from_json(content, f"{storage}/{PLAN_FILE}")
    if plan.grows_to(options):
        plan = replace(plan, options=options)
        storage.write(PLAN_FILE, plan.to_json())
    plan.check_options(options, storage)
    return plan


def read_records(plan: JobPlan, storage: Storage) -> dict[int, Mapping[str, Any]]:
    """Return the records of the whole shards, by the number of the shard."""
    sizes = storage.sizes()
    shards = [plan.shard(number) for number in range(plan.shard_count)]
    recorded = [shard for shard in shards if shard.record_file in sizes]
    with ThreadPoolExecutor(READERS) as pool:
        records = pool.map(lambda s: read_record(storage, s, sizes.get(s.file)), recorded)
        return {
            shard.number: record
            for shard, record in zip(recorded, records, strict=True)
            if record is not None
        }


def missing_shards(plan: JobPlan, records: Mapping[int, object]) -> list[Shard]:
    """Return the shards without a record, in random order.

    In a random order, two commands with the same arguments seldom make the same shard.
    """
    missing = [plan.shard(n) for n in range(plan.shard_count) if n not in records]
    secrets.SystemRandom().shuffle(missing)
    return missing
