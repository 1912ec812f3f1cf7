"""Promote versions and kill the youngest worker while the server is under load."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
from dataclasses import dataclass

from benchmarks.soak.load import HOST
from benchmarks.soak.samples import children
from benchmarks.soak.service import TOKEN


@dataclass
class Faults:
    """Counts of what was done.

    Attributes:
        promotions: Number of promotions that were answered with 200.
        refused: Number of promotions that were not.
        kills: Number of killed workers.
    """

    promotions: int = 0
    refused: int = 0
    kills: int = 0


async def promote(faults: Faults, port: int, model: str, every_s: float) -> None:
    """Let production be version 1 and 2 in turn, until cancelled."""
    for version in itertools.cycle((2, 1)):
        await asyncio.sleep(every_s)
        try:
            status = await _put_alias(port, model, version)
        except (OSError, EOFError):
            status = 0
        if status == 200:
            faults.promotions += 1
        else:
            faults.refused += 1


async def kill_youngest(faults: Faults, supervisor: int, every_s: float) -> None:
    """Kill the youngest worker again and again, until cancelled.

    The oldest worker is never killed, so that it is sampled from the beginning to the end.
    """
    while True:
        await asyncio.sleep(every_s)
        workers = children(supervisor)
        if len(workers) > 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(workers[-1], signal.SIGKILL)
                faults.kills += 1


async def _put_alias(port: int, model: str, version: int) -> int:
    """Set the alias `production`; return the status of the answer."""
    body = json.dumps({"version": version})
    lines = [
        f"PUT /models/{model}/aliases/production HTTP/1.1",
        "Host: soak",
        f"Authorization: Bearer {TOKEN}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write("\r\n".join([*lines, "", body]).encode())
        head = await reader.readuntil(b"\r\n")
        await reader.read()
    finally:
        writer.close()
    return int(head.split(b" ", 2)[1])
