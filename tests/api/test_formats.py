"""All formats of answers, read with the libraries that users have."""

import base64
import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import numpy as np
import pytest
from PIL import Image, ImageSequence

from app.api.queries import (
    AugmentQuery,
    DecodeQuery,
    EncodeQuery,
    GenerateQuery,
    InterpolateQuery,
    ModelQuery,
    ReconstructQuery,
    TraverseQuery,
)
from app.api.render import FORMATS
from app.settings import Settings
from tests.api.service import (
    Service,
    digit,
    parameters,
    pixels,
    problem,
    started,
    tiles,
)

SEEDED = "/generate?n=5&seed=4294967294"


def open_zip(answer: httpx.Response) -> zipfile.ZipFile:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    file = zipfile.ZipFile(io.BytesIO(answer.content))
    assert file.testzip() is None
    return file


def open_npz(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-npz"
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
        return dict(arrays)


def manifest_rows(file: zipfile.ZipFile) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read("manifest.csv").decode(), newline="")))


UPLOAD = {"files": [("image", digit())]}
ENDPOINTS: list[tuple[str, type[ModelQuery], dict[str, Any]]] = [
    ("/generate?seed=7&n=2", GenerateQuery, {}),
    ("/decode?", DecodeQuery, {"json": {"z": [[0.5, -1.0, 0.0]]}}),
    ("/augment?seed=7&n=2", AugmentQuery, UPLOAD),
    ("/encode?", EncodeQuery, UPLOAD),
    ("/reconstruct?", ReconstructQuery, UPLOAD),
    ("/interpolate?seed_a=1&seed_b=2", InterpolateQuery, {}),
    ("/traverse?seed=1&steps=2", TraverseQuery, {}),
]


@pytest.mark.parametrize(
    ("path", "name", "body"),
    [(path, name, body) for path, query, body in ENDPOINTS for name in query.FORMATS],
)
def test_every_endpoint_answers_in_every_format_it_offers(
    service: Service, path: str, name: str, body: dict[str, Any]
) -> None:
    by_name = service.post(f"{path}&format={name}", **body)
    assert by_name.status_code == 200, by_name.text
    assert by_name.headers["content-type"] == FORMATS[name].media_type
    by_accept = service.post(path, headers={"Accept": FORMATS[name].media_type}, **body)
    assert by_accept.content == by_name.content
    is_attachment = "content-disposition" in by_name.headers
    assert is_attachment == FORMATS[name].attachment


def test_numbers_that_a_format_does_not_show_are_not_computed(
    service: Service, computed: list[int]
) -> None:
    calls = {}
    for name in ReconstructQuery.FORMATS:
        computed.clear()
        assert service.post(f"/reconstruct?format={name}", **UPLOAD).status_code == 200
        calls[name] = len(computed)
    assert calls == {"png": 2, "json": 3, "zip": 3, "npz": 3}


# --- zip ---------------------------------------------------------------------------------------


def test_each_file_of_a_zip_equals_the_answer_for_its_own_seed(service: Service) -> None:
    answer = service.get(SEEDED + "&format=zip")
    file = open_zip(answer)
    manifest = manifest_rows(file)
    assert [row["seed"] for row in manifest] == ["4294967294", "4294967295", "0", "1", "2"]
    z = [image["z"] for image in service.get(SEEDED + "&format=json").json()["images"]]
    for row, expected in zip(manifest, z, strict=True):
        single = service.get(f"/generate?n=1&seed={row['seed']}")
        assert file.read(row["file"]) == single.content
        written = [np.float32(row[f"z{i}"]) for i in range(3)]
        assert np.array_equal(np.array(written), np.array(expected, np.float32))
    assert json.loads(file.read("parameters.json"))["n"] == 5
    assert answer.headers["x-seed"] == "4294967294"
    assert 'filename="mnist-1-seed-4294967294.zip"' in answer.headers["content-disposition"]


def test_a_zip_may_have_more_images_than_other_formats(service: Service) -> None:
    file = open_zip(service.get("/generate?n=300&seed=5&format=zip&metadata=false"))
    assert "parameters.json" not in file.namelist()
    assert len(manifest_rows(file)) == 300
    grid = tiles(pixels(service.get("/generate?n=44&seed=261")))
    for i in range(44):
        image = Image.open(io.BytesIO(file.read(f"{256 + i:06d}.png")))
        assert np.array_equal(np.asarray(image), grid[i])
    refused = service.get("/generate?n=10001&format=zip")
    assert problem(refused, 422, "limit-exceeded")["limit"] == 10_000


def test_a_zip_that_has_begun_retries_a_full_queue(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.errors import QueueFullError
    from app.inference.engine import Engine

    decode, calls = Engine.decode_levels, []

    async def busy(self: Engine, *args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise QueueFullError("full")
        return await decode(self, *args)

    monkeypatch.setattr(Engine, "decode_levels", busy)
    assert len(manifest_rows(open_zip(service.get("/generate?n=300&format=zip")))) == 300
    assert len(calls) == 4
    calls.append(1)
    calls.clear()
    calls.append(1)
    problem(service.get("/generate?n=300&format=zip"), 503, "queue-full")


def test_a_client_that_disconnects_stops_its_zip(store: Path, computed: list[int]) -> None:
    sent: list[int] = []

    async def leave() -> None:
        query = b"n=5000&format=zip"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/generate",
            "query_string": query,
            "headers": [],
            "scheme": "http",
            "root_path": "",
            "raw_path": b"/generate",
            "client": ("1.2.3.4", 5),
            "server": ("service", 80),
        }
        messages = iter([{"type": "http.request", "body": b"", "more_body": False}])
        gone = anyio.Event()

        async def receive() -> dict[str, Any]:
            for message in messages:
                return message
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(len(message.get("body", b"")))
            if len(sent) == 3:
                gone.set()
            await anyio.lowlevel.checkpoint()

        await service.app(scope, receive, send)

    with started(Settings(store=store, device="cpu")) as service:
        computed.clear()
        service.portal.call(leave)
    assert 0 < sum(computed) < 2000


@pytest.mark.parametrize(
    ("path", "files", "images", "decoded"),
    [
        ("/reconstruct", [("image", digit(0)), ("image", digit(9))], 4, 2),
        ("/interpolate?steps=3&seed_b=2", [("a", digit())], 5, 4),
        ("/traverse?dims=2,0&steps=3&seed=4", [], 6, 6),
    ],
)
def test_a_zip_has_the_images_of_the_grid_and_latents_that_reproduce_them(
    service: Service, path: str, files: list[tuple[str, bytes]], images: int, decoded: int
) -> None:
    upload = {"files": files} if files else {}
    sign = "&" if "?" in path else "?"
    file = open_zip(service.post(f"{path}{sign}format=zip", **upload))
    manifest = manifest_rows(file)
    assert len(manifest) == images
    assert file.namelist() == [
        *(row["file"] for row in manifest),
        "manifest.csv",
        "parameters.json",
    ]
    in_grid = sorted(tile.tobytes() for tile in tiles(pixels(service.post(path, **upload))))
    in_zip = [np.asarray(Image.open(io.BytesIO(file.read(row["file"])))) for row in manifest]
    assert sorted(image.tobytes() for image in in_zip) == in_grid
    again = 0
    for row in manifest:
        if row["z0"]:
            z = [[float(row[f"z{i}"]) for i in range(3)]]
            assert service.post("/decode", json={"z": z}).content == file.read(row["file"])
            again += 1
    assert again == decoded
    assert json.loads(file.read("parameters.json"))["endpoint"] == path.partition("?")[0]
    plain = open_zip(service.post(f"{path}{sign}format=zip&metadata=false&scale=2", **upload))
    assert "parameters.json" not in plain.namelist()
    assert Image.open(io.BytesIO(plain.read(manifest[0]["file"]))).size == (56, 56)


# --- npz and numbers ---------------------------------------------------------------------------


def test_an_npz_has_images_latents_and_seeds(service: Service) -> None:
    arrays = open_npz(service.get(SEEDED + "&format=npz"))
    grid = tiles(pixels(service.get(SEEDED)))
    assert arrays["images"].dtype == np.uint8
    assert np.array_equal(arrays["images"], np.stack(grid[:5]))
    assert arrays["seeds"].tolist() == [4294967294, 4294967295, 0, 1, 2]
    assert arrays["z"].dtype == np.float32
    assert json.loads(str(arrays["parameters"]))["n"] == 5
    assert "parameters" not in open_npz(service.get(SEEDED + "&format=npz&metadata=false"))


def test_an_npz_of_every_endpoint_has_the_images_of_its_grid(service: Service) -> None:
    files = [("image", digit(0)), ("image", digit(9))]
    arrays = open_npz(service.post("/reconstruct?format=npz", files=files))
    seen = tiles(pixels(service.post("/reconstruct", files=files)))
    assert np.array_equal(np.concatenate([arrays["inputs"], arrays["reconstructions"]]), seen)
    numbers = service.post("/reconstruct?format=json", files=files).json()["images"]
    assert arrays["mu"].tolist() == [image["mu"] for image in numbers]
    assert arrays["kl_nats"].tolist() == [image["kl_nats"] for image in numbers]
    walk = open_npz(service.post("/interpolate?seed_a=1&seed_b=2&format=npz"))
    row = tiles(pixels(service.post("/interpolate?seed_a=1&seed_b=2")))
    assert np.array_equal(walk["images"], np.stack(row[1:-1]))
    assert np.array_equal(walk["ends"], np.stack([row[0], row[-1]]))
    lines = open_npz(service.post("/traverse?dims=2,0&format=npz"))
    assert lines["images"].shape == (2, 7, 28, 28)
    assert lines["dims"].tolist() == [2, 0]


def test_json_has_levels_if_pixels_is_true(service: Service) -> None:
    shown = service.get(SEEDED + "&format=json&pixels=true").json()["images"]
    grid = tiles(pixels(service.get(SEEDED)))
    assert [image["pixels"] for image in shown] == [tile.tolist() for tile in grid[:5]]
    assert all("png" not in image for image in shown)
    walk = service.post("/interpolate?seed_a=1&seed_b=2&format=json&pixels=true").json()
    assert walk["a"] == walk["frames"][0]["pixels"]
    upload = {"files": {"image": digit()}}
    seen = service.post("/reconstruct?format=json&pixels=true", **upload).json()["images"][0]
    assert np.array(seen["input"]).shape == np.array(seen["reconstruction"]).shape == (28, 28)
    lines = service.post("/traverse?dims=0&format=json&pixels=true").json()["dimensions"]
    assert np.array(lines[0]["images"]).shape == (7, 28, 28)


# --- animations and scale ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gif", "apng"])
def test_an_animation_plays_the_frames_of_an_interpolation(service: Service, kind: str) -> None:
    path = "/interpolate?seed_a=1&seed_b=2&steps=4"
    answer = service.post(f"{path}&format={kind}&frame_ms=70&scale=2")
    assert answer.headers["content-type"] == f"image/{kind}"
    image = Image.open(io.BytesIO(answer.content))
    assert image.info["loop"] == 0
    frames = tiles(pixels(service.post(path)))[1:-1]
    for frame, shown in zip(frames, ImageSequence.Iterator(image), strict=True):
        assert shown.info["duration"] == 70
        assert np.array_equal(np.asarray(shown.convert("L")), frame.repeat(2, 0).repeat(2, 1))
    both = Image.open(io.BytesIO(service.post(f"{path}&format={kind}&bounce=true").content))
    assert both.n_frames == 6  # type: ignore[attr-defined]
    once = Image.open(io.BytesIO(service.post(f"{path}&format={kind}&loop=false").content))
    assert once.info.get("loop") != 0


def test_scale_enlarges_pictures_but_not_arrays(service: Service) -> None:
    plain, large = service.get(SEEDED), service.get(SEEDED + "&scale=3")
    assert np.array_equal(pixels(large), pixels(plain).repeat(3, 0).repeat(3, 1))
    assert parameters(large) == parameters(plain)
    shown = service.get(SEEDED + "&format=json&scale=3").json()["images"][0]["png"]
    assert Image.open(io.BytesIO(base64.b64decode(shown))).size == (84, 84)
    zipped = open_zip(service.get(SEEDED + "&format=zip&scale=3"))
    assert Image.open(io.BytesIO(zipped.read("000000.png"))).size == (84, 84)
    assert open_npz(service.get(SEEDED + "&format=npz&scale=3"))["images"].shape == (5, 28, 28)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/generate?n=256&scale=16"),
        ("POST", "/traverse?steps=80&scale=16"),
        ("POST", "/interpolate?seed_a=1&seed_b=2&steps=254&scale=16&format=gif"),
        ("GET", "/generate?scale=17"),
        ("GET", "/generate?scale=0"),
        ("POST", "/interpolate?seed_a=1&seed_b=2&frame_ms=1&format=gif"),
    ],
)
def test_too_many_pixels_are_refused_before_anything_is_computed(
    service: Service, computed: list[int], method: str, path: str
) -> None:
    problem(service.request(method, path), 422, "limit-exceeded")
    assert computed == []


@pytest.mark.parametrize(
    ("path", "accept", "expected"),
    [
        ("/generate?n=1", "application/zip", "application/zip"),
        ("/generate?n=1", "application/x-npz, image/png;q=0.1", "application/x-npz"),
        ("/interpolate?seed_a=1&seed_b=2", "image/gif", "image/gif"),
        ("/interpolate?seed_a=1&seed_b=2", "image/apng;q=0.9, image/gif;q=0.8", "image/apng"),
        ("/traverse", "application/x-npz", "application/x-npz"),
    ],
)
def test_accept_chooses_among_all_formats(
    service: Service, path: str, accept: str, expected: str
) -> None:
    answer = service.post(path, headers={"Accept": accept})
    assert answer.headers["content-type"] == expected
