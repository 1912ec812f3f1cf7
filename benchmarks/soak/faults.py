"""Promote versions and kill the youngest worker while the server is under load."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
from dataclasses import dataclass, field

from benchmarks.soak.load import HOST, TIMEOUT_S
from benchmarks.soak.samples import children
from benchmarks.soak.service import TOKEN


@dataclass
class Faults:
    """Counts of what was done.

    Attributes:
        promotions: Number of promotions that were answered with 200.
        cut: Number of promotions whose worker was killed before its answer; each was sent again.
        refused: Reason of each promotion that failed otherwise.
        kills: Number of killed workers.
    """

    promotions: int = 0
    cut: int = 0
    refused: list[str] = field(default_factory=list)
    kills: int = 0


async def promote(faults: Faults, port: int, model: str, every_s: float) -> None:
    """Let production be version 1 and 2 in turn, until cancelled."""
    for version in itertools.cycle((2, 1)):
        await asyncio.sleep(every_s)
        while not await _promote_once(faults, port, model, version):
            faults.cut += 1


async def _promote_once(faults: Faults, port: int, model: str, version: int) -> bool:
    """Send a promotion and count its answer; return False if it was lost with a killed worker."""
    kills = faults.kills
    try:
        reason = await asyncio.wait_for(_put_alias(port, model, version), TIMEOUT_S)
    except (OSError, EOFError, TimeoutError) as error:
        if faults.kills > kills and not isinstance(error, TimeoutError):
            return False
        reason = f"{type(error).__name__}: {error}"
    if reason is None:
        faults.promotions += 1
    else:
        faults.refused.append(reason)
    return True


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


async def _put_alias(port: int, model: str, version: int) -> str | None:
    """Set the alias `production`; return why that failed, or None."""
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
        head = await reader.readuntil(b"\r\n\r\n")
        content = await reader.read()
    finally:
        writer.close()
    status = int(head.split(b" ", 2)[1])
    return None if status == 200 else f"{status} {content.decode(errors='replace')[:300]}"
