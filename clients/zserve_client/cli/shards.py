"""`zserve generate` into shards: its options, and the progress of the job."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from zserve_client import InputError
from zserve_client._export import PLAN_FILE as EXPORT_PLAN_FILE
from zserve_client._shards.job import run_job
from zserve_client._shards.plan import JobOptions
from zserve_client.cli.command import counted

MOST_IN_FOLDERS = 100_000
"""Largest number of images of a label for which a folder of image files is the default."""
SHARD_IMAGES = 10_000
LINE_INTERVAL_S = 30.0


def place(text: str) -> Path | str:
    """Return the address of an object store as it is, anything else as a path."""
    return text if "://" in text else Path(text)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of data sets in shards."""
    group = parser.add_argument_group("data sets in shards")
    group.add_argument(
        "--layout",
        choices=["imagefolder", "webdataset"],
        help="image files in folders, or tar files; by default, tar files for an address and above "
        f"{MOST_IN_FOLDERS:,} images of a label",
    )
    group.add_argument(
        "--shard-images",
        type=int,
        default=SHARD_IMAGES,
        metavar="N",
        help=f"images in a tar file, of all labels together (default: {SHARD_IMAGES:,})",
    )
    cores = min(4, os.cpu_count() or 1)
    group.add_argument(
        "--processes",
        type=int,
        default=cores,
        metavar="N",
        help=f"tar files that are made at the same time (default here: {cores})",
    )
    group.add_argument(
        "--price-per-hour",
        type=float,
        metavar="PRICE",
        help="what the service and this machine cost in an hour: the progress says what the "
        "data set will cost",
    )


def wanted(options: argparse.Namespace) -> bool:
    """Return True if the images go into shards; raises InputError if they cannot go elsewhere."""
    if isinstance(options.out, str):
        if options.layout == "imagefolder":
            raise InputError(f"{options.out} takes shards only: leave --layout out")
        return True
    if options.layout is None:
        is_folder = not options.out.suffix or options.out.is_dir()
        is_export = (options.out / EXPORT_PLAN_FILE).exists()
        return is_folder and options.n > MOST_IN_FOLDERS and not is_export
    return bool(options.layout == "webdataset")


def run(options: argparse.Namespace, common: dict[str, Any]) -> None:
    """Make the missing shards, and print what is there."""
    job_options = JobOptions(
        n=options.n, labels=options.label, shard_images=options.shard_images, **common
    )
    with JobProgress(options.price_per_hour) as progress:
        job = run_job(
            options.url,
            str(options.out),
            job_options,
            processes=options.processes,
            progress=progress.show,
        )
    plan = job.plan
    present = plan.images - job.fetched
    note = f", {present} of them were already there" if present else ""
    print(
        f"{job.place}: {counted(plan.images, 'image')} of {plan.model} in "
        f"{counted(plan.shard_count, 'shard')}, "
        f"seed {plan.seed}{note}{progress.summary()}"
    )


class JobProgress:
    """Shows the images, their rate, the time left and the cost, on stderr.

    A terminal gets one line that is updated in place, any other file a line each half a minute.

    Args:
        price_per_hour: Price of the machines for an hour, or None.
        clock: Returns a monotonic time in seconds.
    """

    def __init__(
        self, price_per_hour: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._price_per_hour, self._clock = price_per_hour, clock
        self._terminal = sys.stderr.isatty()
        self._start: tuple[float, int] | None = None
        self._elapsed_s, self._fetched, self._next_line_s = 0.0, 0, LINE_INTERVAL_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal and self._start is not None:
            print(file=sys.stderr)

    def show(self, done: int, total: int) -> None:
        """Draw the progress; the first call says how many images were there before."""
        now = self._clock()
        started_at, done_at_start = self._start = self._start or (now, done)
        self._elapsed_s, self._fetched = now - started_at, done - done_at_start
        text = f"{done}/{total} images{self._forecast(total - done)}"
        if self._terminal:
            bar = "#" * (30 * done // max(total, 1))
            print(f"\r[{bar:30}] {text:60}", end="", file=sys.stderr, flush=True)
        elif self._elapsed_s >= self._next_line_s:
            self._next_line_s = self._elapsed_s + LINE_INTERVAL_S
            print(text, file=sys.stderr, flush=True)

    def summary(self) -> str:
        """Return the rate and the cost of what was fetched, to follow a line about it."""
        if self._fetched <= 0 or self._elapsed_s <= 0:
            return ""
        rate = f"; {self._fetched / self._elapsed_s:,.0f} images/s"
        if self._price_per_hour is None:
            return rate
        return f"{rate}, cost {self._cost(self._elapsed_s)}"

    def _forecast(self, missing: int) -> str:
        if self._fetched <= 0 or self._elapsed_s <= 0:
            return ""
        rate = self._fetched / self._elapsed_s
        left_s = missing / rate
        text = f", {rate:,.0f} images/s"
        if missing:
            text += f", {duration(left_s)} left"
        if self._price_per_hour is not None:
            whole = self._cost(self._elapsed_s + left_s)
            text += f", cost {self._cost(self._elapsed_s)} of {whole}"
        return text

    def _cost(self, seconds: float) -> str:
        return f"{(self._price_per_hour or 0.0) * seconds / 3600:.2f}"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units, such as `3 h 20 min`."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"
