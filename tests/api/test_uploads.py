"""Uploads of photos, and uploads that would stop the service."""

import asyncio
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.imaging.decoder import Decoder
from app.settings import Settings
from tests.api.service import Service, digit, pixels, problem, started, tiles

FILE = "application/vnd.zserve.images"
KINDS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "AVIF": "image/avif"}


def settings(store: Path, **options: Any) -> Settings:
    common: dict[str, Any] = {"store": store, "device": "cpu", "log_requests": False}
    return Settings(**common | {"upload_cpu_s": 10.0} | options)


@pytest.fixture(scope="module")
def service(store: Path) -> Iterator[Service]:
    with started(settings(store)) as service:
        yield service


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo_of_a_one(width: int, height: int) -> Image.Image:
    """A dark stroke on light paper, 6.7 pixels wide at the size of a digit."""
    paper = np.full((height, width), 225, np.uint8)
    paper[height // 5 : 4 * height // 5, 9 * width // 20 : 12 * width // 20] = 25
    return Image.fromarray(paper)


@pytest.fixture(scope="module")
def slow() -> bytes:
    """A WebP of 4 megapixels, a digit on noise."""
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    picture = np.tile(noise, (4, 4, 1))
    picture[400:1600, 900:1100] //= 8
    return saved(Image.fromarray(picture), "WEBP", method=0)


def raw(content: bytes, kind: str) -> dict[str, Any]:
    return {"content": content, "headers": {"Content-Type": kind}}


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_is_seen_as_its_small_version(service: Service, kind: str) -> None:
    large = saved(photo_of_a_one(1500, 1125), kind)
    small = saved(photo_of_a_one(200, 150), "PNG")
    seen = [
        tiles(pixels(service.post("/reconstruct", **raw(content, media))))[0].astype(float)
        for content, media in ((large, KINDS[kind]), (small, "image/png"))
    ]
    for axis in (0, 1):  # wherever the centre of mass is rounded to
        rows = [np.sort(image.sum(axis)) for image in seen]
        assert rows[0] == pytest.approx(rows[1], abs=0.1 * rows[1].max())
    assert seen[0].max() > 225


def test_a_photo_of_twelve_megapixels_with_two_megabytes_is_taken(service: Service) -> None:
    noise = np.random.default_rng(0).normal(0, 5, (1500, 2000))
    paper = np.asarray(photo_of_a_one(4000, 3000), np.float32)
    paper = paper + np.kron(noise, np.ones((2, 2)))
    content = saved(Image.fromarray(paper.clip(0, 255).astype(np.uint8)), "JPEG", quality=92)
    assert len(content) > 1_900_000
    assert service.post("/encode", **raw(content, "image/jpeg")).status_code == 200


def test_many_large_images_are_refused_by_their_headers(service: Service) -> None:
    flat = saved(Image.new("L", (1024, 1024)), "PNG")
    answer = service.post("/reconstruct", files=[("image", ("a.png", flat))] * 101)
    assert (
        problem(answer, 413, "too-many-pixels")["limit"]
        == service_settings(service).max_upload_pixels
    )


def service_settings(service: Service) -> Settings:
    chosen: Settings = service.app.state.settings
    return chosen


def test_an_image_that_takes_too_long_is_refused_and_the_next_one_is_served(
    store: Path, slow: bytes
) -> None:
    with started(settings(store, upload_cpu_s=0.01, upload_cpu_s_per_mib=0.0)) as service:
        answer = service.post("/reconstruct", **raw(slow, "image/webp"))
        assert problem(answer, 413, "too-complex")["limit"] == 0.01
        assert service.post("/reconstruct", **raw(digit(), "image/png")).status_code == 200


def test_decoding_is_part_of_the_time_of_a_request(store: Path, slow: bytes) -> None:
    files = [("image", ("a.webp", slow))] * 12
    with started(
        settings(store, request_timeout_s=0.2, max_upload_pixels=10**9, upload_cpu_s=60)
    ) as service:
        answer = service.post("/reconstruct", files=files)
        assert problem(answer, 503, "timed-out")["limit"] == 0.2
        assert answer.headers["retry-after"]


def test_photos_beyond_the_queue_are_answered_with_503_and_all_else_is_served(
    store: Path, slow: bytes
) -> None:
    files = [("image", ("a.webp", slow))] * 6
    photo = raw(saved(photo_of_a_one(1500, 1125), "JPEG"), "image/jpeg")
    with started(
        settings(store, queue_uploads=2, max_upload_pixels=10**9, upload_cpu_s=60)
    ) as service:

        async def overload() -> None:
            post = service.client.post
            running = [asyncio.create_task(post("/encode", files=files)) for _ in range(2)]
            decoder: Decoder = service.app.state.services.decoder
            while decoder.jobs_in_processes < 2:  # noqa: ASYNC110 - no event tells of an arrival
                await asyncio.sleep(0.01)
            answer = await post("/encode", **photo)
            assert problem(answer, 503, "queue-full")["limit"] == 2
            assert answer.headers["retry-after"]
            # Small images, archives and models have other threads.
            assert (await post("/encode", **raw(digit(), "image/png"))).status_code == 200
            archive = await service.client.get("/generate?n=300&format=zip")
            assert len(zipfile.ZipFile(io.BytesIO(archive.content)).namelist()) == 302
            loaded = await service.client.get("/generate?model=other@1")
            assert loaded.status_code == 200
            assert not any(task.done() for task in running)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            assert (await post("/encode", **photo)).status_code == 200

        service.portal.call(overload)


def test_photos_of_clients_that_have_left_are_dropped(store: Path, slow: bytes) -> None:
    with started(settings(store, max_upload_pixels=10**9, upload_cpu_s=600)) as service:
        boundary = (
            b"--x\r\n" + b'Content-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        )
        body = b"".join(boundary + slow + b"\r\n" for _ in range(10)) + b"--x--\r\n"

        async def client(left: asyncio.Event) -> list[str]:
            incoming = [{"type": "http.request", "body": body, "more_body": False}]
            sent: list[str] = []

            async def receive() -> dict[str, Any]:
                if incoming:
                    return incoming.pop()
                await left.wait()
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                sent.append(message["type"])

            scope = {
                "type": "http",
                "method": "POST",
                "path": "/encode",
                "query_string": b"",
                "headers": [(b"content-type", b"multipart/form-data; boundary=x")],
            }
            await service.app(scope, receive, send)
            return sent

        async def leave() -> None:
            left = asyncio.Event()
            clients = [asyncio.create_task(client(left)) for _ in range(6)]
            await asyncio.sleep(0.5)
            left.set()
            assert await asyncio.gather(*clients) == [[]] * 6
            photo = raw(saved(photo_of_a_one(1500, 1125), "JPEG"), "image/jpeg")
            assert (await service.client.post("/encode", **photo)).status_code == 200

        service.portal.call(leave)


def test_bodies_that_do_not_fit_into_memory_together_are_answered_with_503(store: Path) -> None:
    with started(settings(store, max_buffered_bytes=100_000)) as service:

        async def crowd() -> None:
            more = asyncio.Event()

            async def half_a_file() -> Any:
                yield bytes(60_000)
                await more.wait()
                yield b""

            post = service.client.post
            first = asyncio.create_task(post("/encode", **raw(half_a_file(), "image/png")))
            await asyncio.sleep(0.05)
            answer = await post("/encode", **raw(bytes(60_000), "image/png"))
            assert problem(answer, 503, "queue-full")["limit"] == 100_000
            more.set()
            problem(await first, 415, "not-an-image")
            problem(await post("/encode", **raw(bytes(60_000), "image/png")), 415, "not-an-image")

        service.portal.call(crowd)


def test_only_endpoints_with_files_take_large_bodies(service: Service) -> None:
    body = bytes(2 * 1024 * 1024)
    problem(service.post("/decode", **raw(body, "application/json")), 413, "body-too-large")
    for path in ("/reconstruct", "/encode", "/augment", "/traverse"):
        problem(service.post(path, **raw(body, "image/png")), 415, "not-an-image")
        answer = service.post(path, **raw(body, "application/json"))
        problem(answer, 415, "unsupported-body")
    problem(service.post("/compress", **raw(body, "image/png")), 415, "not-an-image")
    problem(service.post("/decompress", **raw(body, FILE)), 415, "foreign-file")
