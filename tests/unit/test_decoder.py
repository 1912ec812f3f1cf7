import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import (
    CorruptImageError,
    LimitError,
    NotReadyError,
    QueueFullError,
    ShuttingDownError,
    TooComplexImageError,
)
from app.imaging.decode import PixelLimits
from app.imaging.decoder import Decoder
from app.imaging.jobs import AbandonedError, LevelsJob, PrepareJob
from app.imaging.light import are_light
from app.typing import Upload
from model_store.errors import BlankImageError
from model_store.spec import MLP, ModelSpec

ROOT = Path(__file__).parents[2]
SPEC = ModelSpec(network=MLP(), latent=2)
PREPARE = PrepareJob(spec=SPEC, preprocess="auto", limits=PixelLimits(50 * 2**20, 100 * 2**20))
LEVELS = LevelsJob(spec=SPEC, max_pixels=2**20, most_images=10)
LIMITS: dict[str, Any] = {
    "processes": 1,
    "queue": 4,
    "cpu_s": 10.0,
    "cpu_s_per_mib": 1.0,
    "memory_bytes": 2**30,
}


@contextlib.contextmanager
def decoder(**limits: Any) -> Iterator[Decoder]:
    running = Decoder(**LIMITS | limits)
    try:
        yield running
    finally:
        running.close()


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def digit(width: int, height: int) -> Image.Image:
    picture = np.full((height, width), 240, np.uint8)
    picture[height // 5 : 4 * height // 5, 9 * width // 20 : 11 * width // 20] = 20
    return Image.fromarray(picture)


SMALL = Upload("image 1", saved(digit(90, 120)))
PHOTO = Upload("image 1", saved(digit(1500, 2000), "JPEG"))
WEBP = Upload("image 1", saved(digit(90, 120), "WEBP"))


@pytest.fixture(scope="module")
def slow() -> Upload:
    """A WebP of 4 megapixels, a digit on noise: tenths of seconds of decoding."""
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)
    picture = np.tile(noise, (2, 2, 1))
    picture[400:1600, 900:1100] //= 8
    return Upload("image 1", saved(Image.fromarray(picture), "WEBP", method=0))


def children(parent: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, ppid = path.read_text().rpartition(") ")[2].split()[:2]
            if int(ppid) == parent and state != "Z":
                found.append(int(path.parent.name))
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def servers() -> list[int]:
    """The processes that fork jobs."""
    return [
        pid
        for pid in children(os.getpid())
        if b"decoder_server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def jobs_running() -> list[int]:
    return [job for server in servers() for job in children(server)]


async def until(condition: Callable[[], bool], patience_s: float = 20.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


# --- the same results in threads and processes ---


def test_small_pngs_and_jpegs_are_light_and_all_else_is_not() -> None:
    assert are_light([SMALL.content, saved(digit(400, 300), "JPEG", progressive=True), b"junk"])
    assert not are_light([PHOTO.content])
    assert not are_light([SMALL.content] * 98)  # a megapixel
    for kind in ("WEBP", "AVIF", "GIF"):
        assert not are_light([saved(digit(90, 120), kind)])


def test_files_that_are_slow_to_read_are_not_light() -> None:
    text = saved(digit(9, 9))[:33] + (b"\x00\x00\x00\x04tEXta\x00bc" + bytes(4)) * 600
    comments = b"\xff\xd8" + b"\xff\xfe\x00\x02" * 600 + saved(digit(9, 9), "JPEG")[2:]
    exif = Image.Exif()
    exif[0x010E] = "x" * 60_000
    described = saved(digit(9, 9), "JPEG", exif=exif)
    archive = b"PK\x03\x04" + bytes(2**16)
    for content in (text, comments, archive):
        assert not are_light([content])
    assert are_light([described])
    assert not are_light([described] * 2)


@pytest.mark.parametrize(
    "upload", [WEBP, PHOTO, Upload("image 1", saved(digit(90, 120), "GIF"))], ids=str
)
def test_a_process_prepares_an_image_as_a_thread_does(upload: Upload) -> None:
    with decoder() as running:
        levels = asyncio.run(running.run(PREPARE, [upload, SMALL]))
    assert np.array_equal(levels, PREPARE.run([upload, SMALL], lambda: False))
    assert levels.shape == (2, 1, 28, 28)


def test_both_kinds_of_jobs_answer_light_and_other_files() -> None:
    exact = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    picture = Image.fromarray(exact)
    files = [saved(picture), saved(picture, "WEBP", lossless=True)]

    async def all_levels() -> list[Any]:
        return [await running.run(LEVELS, [Upload("image 1", content)]) for content in files]

    with decoder() as running:
        for levels in asyncio.run(all_levels()):
            assert np.array_equal(levels, exact[None, None])


@pytest.mark.parametrize(
    ("job", "upload", "error", "message"),
    [
        (PREPARE, Upload("image 3", WEBP.content[:60]), CorruptImageError, "image 3: "),
        (
            PREPARE,
            Upload("b", saved(Image.new("L", (9, 9)), "GIF")),
            BlankImageError,
            "b: no digit",
        ),
        (LEVELS, Upload("a", b"PK\x03\x04" + bytes(2**17)), CorruptImageError, "a: the array"),
    ],
)
def test_a_refusal_of_a_process_is_the_same_error(
    job: Any, upload: Upload, error: type[Exception], message: str
) -> None:
    with decoder() as running, pytest.raises(error) as refused:
        asyncio.run(running.run(job, [upload]))
    assert str(refused.value).startswith(message)
    with pytest.raises(error) as expected:
        job.run([upload], lambda: False)
    assert str(refused.value) == str(expected.value)
    assert vars(refused.value) == vars(expected.value)


def test_more_images_than_allowed_are_refused_before_the_rest_is_read() -> None:
    file = io.BytesIO()
    np.save(file, np.zeros((6, 28, 28), np.uint8))
    uploads = [Upload(f"image {i}", file.getvalue()) for i in (1, 2)] + [Upload("image 3", b"")]
    with decoder() as running, pytest.raises(LimitError, match="12, at most 10"):
        asyncio.run(running.run(LEVELS, uploads))


# --- limits ---


def test_decoding_ends_when_its_time_of_the_cpu_is_over(slow: Upload) -> None:
    with decoder(cpu_s=0.02, cpu_s_per_mib=0.0) as running:
        with pytest.raises(TooComplexImageError, match=r"more than 0\.02 s") as refused:
            asyncio.run(running.run(PREPARE, [slow]))
        assert refused.value.limit == 0.02
        assert asyncio.run(running.run(PREPARE, [SMALL])).shape == (1, 1, 28, 28)


def test_larger_files_have_more_time(slow: Upload) -> None:
    assert len(slow.content) > 2 * 2**20
    with decoder(cpu_s=0.02, cpu_s_per_mib=10.0) as running:
        assert asyncio.run(running.run(PREPARE, [slow])).shape == (1, 1, 28, 28)


def test_decoding_ends_when_it_needs_too_much_memory() -> None:
    large = Upload("image 1", saved(Image.new("RGB", (6000, 5000), "white")))
    with decoder(memory_bytes=100 * 2**20) as running:
        with pytest.raises(TooComplexImageError, match="too much memory"):
            asyncio.run(running.run(PREPARE, [large]))
        assert asyncio.run(running.run(PREPARE, [WEBP])).shape == (1, 1, 28, 28)


def test_a_full_queue_refuses_photos_and_still_takes_small_images(slow: Upload) -> None:
    async def overload() -> None:
        photos = [asyncio.create_task(running.run(PREPARE, [slow])) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await running.run(PREPARE, [PHOTO])
        assert len(await running.run(PREPARE, [SMALL])) == 1
        assert not any(photo.done() for photo in photos)
        await asyncio.gather(*photos)
        assert len(await running.run(PREPARE, [PHOTO])) == 1

    with decoder(queue=3) as running:
        asyncio.run(overload())


def test_jobs_have_no_more_processes_than_allowed(slow: Upload) -> None:
    async def overload() -> int:
        photos = [asyncio.create_task(running.run(PREPARE, [slow])) for _ in range(4)]
        most = 0
        while not all(photo.done() for photo in photos):
            most = max(most, len(jobs_running()))
            await asyncio.sleep(0.01)
        await asyncio.gather(*photos)
        return most

    with decoder(processes=2) as running:
        assert asyncio.run(overload()) == 2


# --- work that is not wanted any more ---


def test_the_process_of_a_cancelled_job_is_killed(slow: Upload) -> None:
    async def leave() -> None:
        photo = asyncio.create_task(running.run(PREPARE, [slow] * 20))
        await until(lambda: bool(jobs_running()))
        photo.cancel()
        await until(lambda: not jobs_running())
        with pytest.raises(asyncio.CancelledError):
            await photo
        assert len(await running.run(PREPARE, [PHOTO])) == 1

    with decoder(cpu_s=60.0) as running:
        asyncio.run(leave())


def test_a_job_that_is_cancelled_in_the_queue_never_starts(slow: Upload) -> None:
    async def leave() -> None:
        first = asyncio.create_task(running.run(PREPARE, [slow]))
        waiting = [asyncio.create_task(running.run(PREPARE, [slow])) for _ in range(3)]
        await until(lambda: bool(jobs_running()))
        for photo in waiting:
            photo.cancel()
        await first
        assert all(isinstance(each, BaseException) for each in await collect(waiting))
        assert len(await running.run(PREPARE, [PHOTO])) == 1

    async def collect(tasks: list[Any]) -> list[Any]:
        return await asyncio.gather(*tasks, return_exceptions=True)

    with decoder() as running:
        asyncio.run(leave())


def test_a_thread_stops_before_its_next_image() -> None:
    images = [SMALL] * 50
    seen: list[bool] = []

    def abandoned() -> bool:
        seen.append(len(seen) == 3)
        return seen[-1]

    with pytest.raises(AbandonedError):
        PREPARE.run(images, abandoned)
    assert len(seen) == 4


def test_closing_kills_the_jobs_and_their_server(slow: Upload) -> None:
    async def close() -> None:
        photo = asyncio.create_task(running.run(PREPARE, [slow] * 20))
        await until(lambda: bool(jobs_running()))
        running.close()
        with pytest.raises(NotReadyError):
            await photo
        with pytest.raises(ShuttingDownError):
            await running.run(PREPARE, [SMALL])

    with decoder(cpu_s=60.0) as running:
        asyncio.run(close())
    assert not jobs_running()


# --- processes that fail ---


def test_a_decoder_that_crashes_is_a_damaged_image_and_stops_nothing_else(slow: Upload) -> None:
    async def crash() -> None:
        photo = asyncio.create_task(running.run(PREPARE, [slow] * 20))
        await until(lambda: bool(jobs_running()))
        os.kill(jobs_running()[0], signal.SIGSEGV)
        with pytest.raises(CorruptImageError, match="signal 11"):
            await photo
        assert len(await running.run(PREPARE, [PHOTO])) == 1

    with decoder() as running:
        asyncio.run(crash())


def test_a_server_of_processes_that_was_killed_is_started_again(slow: Upload) -> None:
    async def kill() -> None:
        photo = asyncio.create_task(running.run(PREPARE, [slow] * 20))
        await until(lambda: bool(jobs_running()))
        (busy,) = (server for server in servers() if children(server))
        os.kill(busy, signal.SIGKILL)
        with pytest.raises(NotReadyError):
            await photo
        assert len(await running.run(PREPARE, [PHOTO])) == 1

    with decoder() as running:
        asyncio.run(kill())


def test_nothing_is_left_of_a_service_that_was_killed(tmp_path: Path, slow: Upload) -> None:
    """The processes end by themselves, because their sockets are closed."""
    (tmp_path / "slow.webp").write_bytes(slow.content)
    script = """
import asyncio, pathlib, sys
from tests.unit.test_decoder import LIMITS, PREPARE
from app.imaging.decoder import Decoder
from app.typing import Upload
upload = Upload("image 1", pathlib.Path(sys.argv[1]).read_bytes())
asyncio.run(Decoder(**LIMITS | {"cpu_s": 600.0}).run(PREPARE, [upload] * 20))
"""
    arguments = [sys.executable, "-c", script, str(tmp_path / "slow.webp")]
    service = subprocess.Popen(arguments, cwd=ROOT)
    try:
        asyncio.run(until(lambda: any(children(child) for child in children(service.pid))))
        (server,) = children(service.pid)
        processes = [server, *children(server)]
    finally:
        service.kill()
        service.wait()
    asyncio.run(until(lambda: not any(map(is_running, processes))))
