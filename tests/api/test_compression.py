"""/compress and /decompress over HTTP: the same images come back, whatever they are read by."""

import asyncio
import functools
import io
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.inference.compression import MAX_JOBS
from app.settings import Settings
from model_store.arithmetic.golden import EXECUTORS, ExecutorName, executor_maker
from model_store.compression import codec as codecs
from tests.api.service import Service, pixels, png, problem, publish, started
from tests.unit.arithmetic.networks import SPECS, images
from tests.unit.compression.codecs import codec
from tests.unit.exact_versions import publish_compressing, publish_exact, tamper_golden_hash

FILE = "application/vnd.zserve.images"
NPY = "application/x-npy"
KINDS = ("conv", "colour", "flow")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    for kind in KINDS:
        publish_compressing(root, kind, kind)
    publish_exact(root, "tableless", "conv")
    publish(root, "plain")
    return root


@pytest.fixture(scope="module")
def service(store: Path) -> Iterator[Service]:
    with started(settings(store)) as service:
        yield service


def settings(store: Path, **options: object) -> Settings:
    common = {"store": store, "model": "conv", "device": "cpu", "log_requests": False}
    return Settings(**common | options)  # type: ignore[arg-type]


def npy(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def compressed(service: Service, kind: str, levels: "np.ndarray") -> bytes:
    answer = service.post(
        f"/compress?model={kind}", content=npy(levels), headers={"Content-Type": NPY}
    )
    assert answer.status_code == 200, answer.text
    return answer.content


def decompress(service: Service, content: bytes, query: str = "", kind: str = FILE):
    return service.post(f"/decompress{query}", content=content, headers={"Content-Type": kind})


def arrays(content: bytes) -> dict[str, "np.ndarray"]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return dict(file)


# --- there and back ---


@pytest.mark.parametrize("kind", KINDS)
def test_decompressed_images_are_those_that_were_compressed(service: Service, kind: str):
    levels = images(kind, 23)
    answer = service.post(
        f"/compress?model={kind}", content=npy(levels), headers={"Content-Type": NPY}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == FILE
    assert answer.headers["x-model"] == f"{kind}@1"
    assert len(answer.headers["x-weights-sha256"]) == 64
    assert answer.headers["content-disposition"] == f'attachment; filename="{kind}-1.zsi"'
    rate = 8 * len(answer.content) / levels.size
    assert float(answer.headers["x-bits-per-dimension"]) == pytest.approx(rate, abs=1e-4)
    back = decompress(service, answer.content)
    assert back.status_code == 200, back.text
    assert back.headers["content-type"] == "application/x-npz"
    assert back.headers["x-model"] == f"{kind}@1"
    assert float(back.headers["x-inference-time"]) > 0
    channels_last = np.moveaxis(levels, 1, -1)
    expected = channels_last if levels.shape[1] == 3 else levels[:, 0]
    assert np.array_equal(arrays(back.content)["images"], expected)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_file_does_not_depend_on_the_executor(service: Service, executor: ExecutorName):
    levels = images("conv", 20)
    ours = compressed(service, "conv", levels)
    other = codec("conv", executor_maker(executor))
    assert other.compress(levels) == ours
    assert np.array_equal(other.decompress(ours), levels)


def test_every_way_to_send_images_gives_the_same_file(service: Service):
    levels = images("conv", 3)
    _, height, width = SPECS["conv"].image.shape
    expected = compressed(service, "conv", levels)
    pngs = [("image", (f"{i}.png", png(each[0]))) for i, each in enumerate(levels)]
    file = io.BytesIO()
    np.savez_compressed(file, images=levels[:, 0], parameters=np.array("{}"))
    forms = [
        pngs,
        [pngs[0], ("image", ("rest.npy", npy(levels[1:, 0])))],
        [("image", ("all.npz", file.getvalue()))],
    ]
    for form in forms:
        assert service.post("/compress", files=form).content == expected
    for array in (
        levels[:, 0],
        levels.reshape(3, height, width, 1),
        np.asfortranarray(levels),
    ):
        assert compressed(service, "conv", array) == expected
    body = {"Content-Type": "application/octet-stream"}
    assert service.post("/compress", content=file.getvalue(), headers=body).content == expected
    one = service.post("/compress", content=pngs[0][1][1], headers={"Content-Type": "image/png"})
    assert one.content == compressed(service, "conv", levels[:1])


def test_an_answer_of_decompress_can_be_compressed_again(service: Service):
    content = compressed(service, "colour", images("colour", 4))
    again = service.post(
        "/compress?model=colour",
        content=decompress(service, content).content,
        headers={"Content-Type": "application/x-npz"},
    )
    assert again.content == content


def test_a_file_is_decompressed_to_a_grid_or_a_zip_as_well(service: Service):
    levels = images("conv", 5)
    content = compressed(service, "conv", levels)
    grid = pixels(decompress(service, content, "?format=png"))
    for i, each in enumerate(levels[:, 0]):
        top, left = 2 + i // 3 * 11, 2 + i % 3 * 10
        assert np.array_equal(grid[top : top + 9, left : left + 8], each)
    answer = service.post(
        "/decompress",
        files={"file": ("five.zsi", content)},
        headers={"Accept": "application/zip"},
    )
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert len(archive.namelist()) == 7
        assert archive.read("manifest.csv").splitlines()[:2] == [b"file,image", b"000000.png,0"]
        for i, each in enumerate(levels):
            with Image.open(io.BytesIO(archive.read(f"{i:06d}.png"))) as image:
                assert np.array_equal(np.asarray(image), each[0])


def test_opaque_rgba_and_grey_rgb_files_lose_nothing(service: Service):
    level = images("conv", 1)[0, 0]
    expected = compressed(service, "conv", level[None])
    for mode in ("RGB", "RGBA", "LA"):
        file = io.BytesIO()
        Image.fromarray(level).convert(mode).save(file, "PNG")
        answer = service.post("/compress", files={"image": ("a.png", file.getvalue())})
        assert answer.content == expected, mode


# --- refused images ---


def test_images_of_another_size_are_refused(service: Service):
    body = problem(
        service.post("/compress", files={"image": png(np.zeros((9, 7), np.uint8))}),
        422,
        "wrong-size",
    )
    assert "image 1: the image is 7x9, the model takes" in body["detail"]
    assert "never resized" in body["remedy"]
    for shape in [(2, 9, 7), (2, 3, 8, 8), (64,), ()]:
        answer = service.post(
            "/compress", content=npy(np.zeros(shape, np.uint8)), headers={"Content-Type": NPY}
        )
        problem(answer, 422, "wrong-size")


def test_images_that_would_lose_something_are_refused(service: Service):
    level = images("conv", 1)[0, 0]
    colour = np.stack([level, level, 255 - level], axis=-1)
    deep = io.BytesIO()
    Image.fromarray(level.astype(np.uint16) * 256 + 3).save(deep, "PNG")
    transparent = np.stack([level] * 4, axis=-1)
    for content in (png(colour), deep.getvalue(), png(transparent), npy(level[None] / 255)):
        problem(service.post("/compress", files={"image": content}), 422, "wrong-pixels")


def test_damaged_arrays_are_refused(service: Service):
    whole = npy(images("conv", 2))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", whole[:128] + bytes(200_000_000))
    two = io.BytesIO()
    np.savez(two, a=images("conv", 1), b=images("conv", 1))
    problem(service.post("/compress", files={"image": two.getvalue()}), 422, "wrong-pixels")
    for content in (whole[:-1], whole[:9], whole + b"x", b"PK\x03\x04junk", bomb.getvalue()):
        problem(service.post("/compress", files={"image": content}), 422, "corrupt-image")
    problem(service.post("/compress", files={"image": b"hello"}), 415, "not-an-image")
    problem(
        service.post("/compress", files={"image": npy(images("conv", 1)[:0])}), 422, "empty-image"
    )


def test_an_array_of_objects_is_refused_and_never_unpickled(service: Service):
    file = io.BytesIO()
    np.save(file, np.array([{}, {}], object), allow_pickle=True)
    problem(service.post("/compress", files={"image": file.getvalue()}), 422, "wrong-pixels")


def test_bodies_without_images_are_refused(service: Service):
    problem(service.post("/compress"), 422, "wrong-field")
    problem(service.post("/compress", files={"picture": b"x"}), 422, "wrong-field")
    problem(service.post("/compress", json={}), 415, "unsupported-body")
    problem(service.post("/decompress"), 422, "wrong-field")
    problem(service.post("/decompress", files={"image": b"x"}), 422, "wrong-field")
    problem(service.post("/compress?n=3", files={"image": b"x"}), 422, "invalid-parameter")
    problem(service.post("/decompress?model=conv", content=b"x"), 422, "invalid-parameter")


def test_too_many_images_are_refused_on_both_ways(service: Service, store: Path):
    three = images("conv", 3)
    content = compressed(service, "conv", three)
    with started(settings(store, max_compressed_images=2)) as small:
        array = small.post("/compress", content=npy(three), headers={"Content-Type": NPY})
        assert problem(array, 422, "limit-exceeded")["limit"] == 2
        form = [("image", (f"{i}.png", png(each[0]))) for i, each in enumerate(three)]
        problem(small.post("/compress", files=form), 422, "limit-exceeded")
        mixed = [("image", ("a.npy", npy(three[:2]))), ("image", ("b.npy", npy(three[:1])))]
        body = problem(small.post("/compress", files=mixed), 422, "limit-exceeded")
        assert "ZSERVE_MAX_COMPRESSED_IMAGES" in body["remedy"]
        problem(decompress(small, content), 413, "too-many-images")
    with started(settings(store, max_answer_pixels=100)) as small:
        problem(decompress(small, content), 422, "limit-exceeded")


# --- versions that cannot compress ---


@pytest.mark.parametrize(
    ("model", "reason"),
    [("plain", "it is a float version"), ("tableless", "it has no pixel table")],
)
def test_a_version_without_exact_arithmetic_or_pixel_table_says_so(
    service: Service, model: str, reason: str
):
    shape = (28, 28) if model == "plain" else SPECS["conv"].image.shape[1:]
    image = png(np.zeros(shape, np.uint8))
    body = problem(
        service.post(f"/compress?model={model}", files={"image": image}), 422, "cannot-compress"
    )
    assert body["detail"] == f"{model}@1 cannot compress images: {reason}"
    assert "republish" in body["remedy"]


def test_a_machine_that_computes_other_bits_compresses_nothing(tmp_path: Path):
    publish_compressing(tmp_path, "conv")
    tamper_golden_hash(tmp_path, "conv")
    with started(settings(tmp_path)) as degraded:
        answer = degraded.post(
            "/compress", content=npy(images("conv", 1)), headers={"Content-Type": NPY}
        )
        assert "conv@1 differ" in problem(answer, 503, "not-ready")["detail"]


# --- refused files ---


def with_checksum(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_foreign_files_are_refused(service: Service):
    for content in (b"hello", png(np.zeros((4, 4), np.uint8)), b"\x89ZSBB\n\x09rest"):
        problem(decompress(service, content), 415, "foreign-file")


def test_a_file_with_any_changed_byte_is_refused(service: Service):
    content = compressed(service, "flow", images("flow", 4))
    for place in range(7, len(content) - 4, 5):
        changed = bytearray(content[:-4])
        changed[place] ^= 0x11
        answer = decompress(service, with_checksum(bytes(changed)))
        assert answer.status_code in {404, 409, 413, 422}, (place, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    for end in (7, 20, 40, len(content) - 5, len(content) - 1):
        problem(decompress(service, content[:end]), 422, "damaged-file")
    changed = bytearray(content)
    changed[-9] ^= 1
    problem(decompress(service, bytes(changed)), 422, "damaged-file")


def test_a_file_of_a_version_that_is_not_here_is_refused(service: Service):
    content = compressed(service, "conv", images("conv", 2))
    for name, slug in ((b"none@1", "model-not-found"), (b"conv@9", "version-not-found")):
        problem(
            decompress(service, with_checksum(content[:-4].replace(b"conv@1", name))), 404, slug
        )
    for name in (b"conv@x", b"../..1", b"conv+1"):
        answer = decompress(service, with_checksum(content[:-4].replace(b"conv@1", name)))
        problem(answer, 422, "damaged-file")


def test_a_file_of_another_network_with_the_same_name_is_refused(service: Service, tmp_path: Path):
    content = compressed(service, "conv", images("conv", 2))
    publish_compressing(tmp_path / "a", "conv", "flow")
    publish_exact(tmp_path / "b", "conv", "conv")
    publish(tmp_path / "c", "conv")
    for folder, reason in (("a", "written with"), ("b", "no pixel table"), ("c", "float version")):
        with started(settings(tmp_path / folder)) as elsewhere:
            body = problem(decompress(elsewhere, content), 409, "other-model")
            assert reason in body["detail"]


# --- limits of the work ---


class Slow:
    """Makes the codec wait until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        original = codecs.Codec.compress

        def compress(codec: codecs.Codec, levels: "np.ndarray") -> bytes:
            assert self.go.wait(20)
            return original(codec, levels)

        monkeypatch.setattr(codecs.Codec, "compress", compress)


def test_more_files_than_the_queue_takes_are_refused_while_others_are_served(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    slow = Slow(monkeypatch)
    body, headers = npy(images("conv", 1)), {"Content-Type": NPY}

    async def run() -> None:
        requests = {
            asyncio.create_task(service.client.post("/compress", content=body, headers=headers))
            for _ in range(MAX_JOBS + 1)
        }
        (refused,), waiting = await asyncio.wait(requests, return_when="FIRST_COMPLETED")
        problem(refused.result(), 503, "queue-full")
        assert refused.result().headers["retry-after"] == "1"
        assert (await service.client.get("/generate?n=1")).status_code == 200
        slow.go.set()
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}

    service.portal.call(run)


def test_a_file_that_would_wait_too_long_by_the_measured_rate_is_refused(
    store: Path, monkeypatch: pytest.MonkeyPatch
):
    body, headers = npy(images("conv", 3)), {"Content-Type": NPY}
    with started(settings(store, target_wait_s=1e-6)) as service:
        assert service.post("/compress", content=body, headers=headers).status_code == 200
        slow = Slow(monkeypatch)

        async def run() -> None:
            post = functools.partial(
                service.client.post, "/compress", content=body, headers=headers
            )
            first, second = asyncio.create_task(post()), asyncio.create_task(post())
            done, _ = await asyncio.wait({first, second}, return_when="FIRST_COMPLETED")
            refusal = problem(done.pop().result(), 503, "queue-full")
            assert refusal["limit"] == 1e-6
            assert "wait about" in refusal["detail"]
            slow.go.set()
            answers = await asyncio.gather(first, second)
            assert sorted(answer.status_code for answer in answers) == [200, 503]

        service.portal.call(run)


def test_a_file_that_takes_too_long_is_answered_in_time(
    store: Path, monkeypatch: pytest.MonkeyPatch
):
    slow = Slow(monkeypatch)
    body, headers = npy(images("conv", 1)), {"Content-Type": NPY}
    with started(settings(store, request_timeout_s=0.2)) as service:
        problem(service.post("/compress", content=body, headers=headers), 503, "timed-out")
        slow.go.set()
        assert service.post("/compress", content=body, headers=headers).status_code == 200
