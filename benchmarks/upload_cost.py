"""Measure what an upload costs the service: CPU time of the worker and of its processes.

    python -m benchmarks.upload_cost [--record]

Photos are made here, and so are hostile files of up to 1 MiB: many scans, large canvases, bombs in
metadata. Each is sent to `/encode` of a service with default limits.
"""

import argparse
import io
import os
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pillow_heif
from PIL import Image

from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record, table

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60.0
_REST_S = 0.05
"""Time (s) after an answer in which the end of a process is noticed."""


@dataclass(frozen=True)
class Cost:
    """What one request cost."""

    name: str
    size_bytes: int
    status: int
    cpu_s: float
    wall_s: float


def main() -> None:
    """Print the cost of each upload, the most expensive hostile one last."""
    parser = argparse.ArgumentParser(description="Measure what uploads cost.")
    add_record_option(parser)
    options = parser.parse_args()
    pillow_heif.register_heif_opener()
    rows = []
    with _serving() as (url, pid), httpx.Client(timeout=PATIENCE_S) as client:
        _send(client, url, pid, "start", [_saved(_photo(0.01), "GIF")])
        for group in (PHOTOS, HOSTILE):
            costs = [_send(client, url, pid, name, make()) for name, make in group.items()]
            rows += [_row(cost) for cost in sorted(costs, key=lambda cost: cost.cpu_s)]
    head = ["upload", "size (MB)", "status", "CPU (s)", "wall (s)"]
    markdown = table(head, rows)
    print(markdown)
    if options.record:
        record("Cost of uploads", read_machine(), markdown, {"rows": rows})


def _row(cost: Cost) -> list[str]:
    size = f"{cost.size_bytes / 1e6:.2f}"
    return [cost.name, size, str(cost.status), f"{cost.cpu_s:.2f}", f"{cost.wall_s:.2f}"]


# --- files -------------------------------------------------------------------------------------


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _photo(megapixels: float, noise: float = 5.0) -> Image.Image:
    """A dark stroke on grainy paper, in colour."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5) // 2 * 2
    width = height * 4 // 3 // 2 * 2
    grain = np.random.default_rng(0).normal(0, noise, (height // 2, width // 2))
    paper = 200 + np.kron(grain.astype(np.float32), np.ones((2, 2), np.float32))
    paper[height // 5 : 4 * height // 5, 9 * width // 20 : 11 * width // 20] -= 170
    levels = paper.clip(0, 247).astype(np.uint8)
    return Image.fromarray(np.stack([levels, levels, levels + 8], axis=2))


def _chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def _flat_png(width: int, height: int, colour: int, bits: int, extra: bytes = b"") -> bytes:
    """A black PNG; colour 0 is grey, 2 RGB, 6 RGBA."""
    row = bytes(1 + width * {0: 1, 2: 3, 6: 4}[colour] * bits // 8)
    stream = zlib.compressobj(9)
    data = b"".join(stream.compress(row) for _ in range(height)) + stream.flush()
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header = _chunk(b"IHDR", size + bytes([bits, colour, 0, 0, 0]))
    body = _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + extra + body


def _many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG with scans of 16,384 and more empty blocks each."""
    table_of_one = bytes([1, *[0] * 15])
    head = b"\xff\xd8\xff\xdb\x00\x43\x00" + bytes([1] * 64)
    head += b"\xff\xc2\x00\x0b\x08" + side.to_bytes(2, "big") * 2 + b"\x01\x01\x11\x00"
    head += b"\xff\xc4\x00\x14\x00" + table_of_one + b"\x00"
    head += b"\xff\xc4\x00\x14\x10" + table_of_one + b"\xe0"
    first = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" + bytes((side // 8) ** 2 // 8)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00" + b"\x00\x01"
    return head + first + scan * scans + b"\xff\xd9"


def _bomb(name: bytes, count: int) -> bytes:
    data = name + b"\0\0" + zlib.compress(bytes(10**6), 9)
    return _flat_png(28, 28, 0, 8, _chunk(name, data) * count)


def _gradient() -> Image.Image:
    ramp = np.add.outer(np.arange(6500), np.arange(8000)) // 60 % 255
    return Image.fromarray(ramp.astype(np.uint8))


FORMATS: Mapping[str, Mapping[str, Any]] = {
    "JPEG": {"quality": 90},
    "PNG": {"compress_level": 6},
    "WEBP": {"quality": 75, "method": 0},
    "AVIF": {"quality": 55, "speed": 10},
    "HEIF": {"quality": 50},
}
Files = Callable[[], list[bytes]]


def _photo_files(megapixels: int, kind: str) -> Files:
    noise = 0.0 if kind == "PNG" else 5.0  # grain makes a PNG larger than the limit
    return lambda: [_saved(_photo(megapixels, noise), kind, **FORMATS[kind])]


PHOTOS: Mapping[str, Files] = {
    f"{megapixels} MP {kind}": _photo_files(megapixels, kind)
    for megapixels in (12, 50)
    for kind in FORMATS
}
HOSTILE: Mapping[str, Files] = {
    "JPEG of 87,000 scans": lambda: [_many_scans(1024, 87_000)],
    "JPEG of 99 scans, 16 MP": lambda: [_many_scans(4096, 98)],
    "256 PNGs of 1 MP": lambda: [_flat_png(1024, 1024, 0, 8)] * 256,
    "100 PNGs of 1 MP with a stroke": lambda: [_saved(_photo(1, 0), "PNG")] * 100,
    "PNG of 52 MP, RGB": lambda: [_flat_png(8000, 6500, 2, 8)],
    "PNG of 52 MP, RGBA, 16 bits": lambda: [_flat_png(8000, 6500, 6, 16)],
    "PNG of 60,000 chunks": lambda: [_flat_png(28, 28, 0, 8, _chunk(b"tEXt", b"a\0b") * 60_000)],
    "PNG with 900 profiles of 1 MB": lambda: [_bomb(b"iCCP", 900)],
    "PNG with 900 texts of 1 MB": lambda: [_bomb(b"zTXt", 900)],
    "WebP of 52 MP": lambda: [_saved(_gradient(), "WEBP", quality=30, method=0)],
    "AVIF of 52 MP": lambda: [_saved(_gradient(), "AVIF", quality=30, speed=10)],
    "HEIC of 52 MP": lambda: [_saved(_gradient(), "HEIF", quality=20)],
}


# --- the service -------------------------------------------------------------------------------


@contextmanager
def _serving() -> Iterator[tuple[str, int]]:
    """Start the service on a free port; yield its address and process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "--port", "0"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        for line in process.stderr:
            if match := re.search(r"serving on (http://\S+)", line):
                yield match[1], process.pid
                return
        raise RuntimeError("the service did not start")
    finally:
        process.terminate()
        process.communicate()


def _send(client: httpx.Client, url: str, pid: int, name: str, files: list[bytes]) -> Cost:
    cpu_s, begin = _cpu_s(pid), time.perf_counter()
    answer = client.post(f"{url}/encode", files=[("image", ("file", each)) for each in files])
    wall_s = time.perf_counter() - begin
    time.sleep(_REST_S)
    size = sum(map(len, files))
    return Cost(name, size, answer.status_code, _cpu_s(pid) - cpu_s, wall_s)


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process, and of those that it and its children have started."""
    ticks = sum(_ticks(pid, own=True)) + sum(
        sum(_ticks(child, own=True)) + sum(_ticks(child, own=False)) for child in _children(pid)
    )
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int, *, own: bool) -> list[int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return [int(field) for field in (fields[11:13] if own else fields[13:15])]


def _children(parent: int) -> list[int]:
    stats = (path.read_text() for path in Path("/proc").glob("[0-9]*/stat"))
    return [
        int(stat.partition(" ")[0])
        for stat in stats
        if int(stat.rpartition(") ")[2].split()[1]) == parent
    ]


if __name__ == "__main__":
    main()
