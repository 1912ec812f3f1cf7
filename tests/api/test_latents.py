import csv
import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest

from app.sampling import latents
from tests.api.service import Service, digit, parameters, pixels, problem, tiles

Z = [[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [3.0, 3.0, -3.0]]


def npz(content: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


# --- encode ------------------------------------------------------------------------------------


def test_encode_and_reconstruct_agree(service: Service) -> None:
    files = [("image", digit(0)), ("image", digit(9))]
    encoded = service.post("/encode", files=files)
    expected = service.post("/reconstruct?format=json", files=files).json()["images"]
    assert encoded.headers["content-type"] == "application/json"
    assert encoded.json()["images"] == [
        {name: image[name] for name in ("mu", "logvar", "kl_nats")} for image in expected
    ]
    raw = {"content": digit(9), "headers": {"Content-Type": "image/png"}}
    assert service.post("/encode", **raw).json()["images"] == encoded.json()["images"][1:]


def test_encodings_come_as_arrays(service: Service) -> None:
    arrays = npz(service.post("/encode?format=npz", files={"image": digit()}).content)
    expected = service.post("/encode", files={"image": digit()}).json()["images"][0]
    assert arrays["mu"].tolist() == [expected["mu"]]
    assert arrays["logvar"].dtype == np.float32
    assert arrays["inputs"].shape == (1, 28, 28)


def test_encoding_without_an_image_is_refused(service: Service, computed: list[int]) -> None:
    problem(service.post("/encode"), 422, "wrong-field")
    problem(service.post("/encode?format=png", files={"image": digit()}), 422, "invalid-parameter")
    assert computed == []


# --- decode ------------------------------------------------------------------------------------


def test_decoding_the_latents_of_an_answer_gives_its_images(service: Service) -> None:
    made = service.get("/generate?n=5&seed=7&format=json").json()["images"]
    grid = pixels(service.get("/generate?n=5&seed=7"))
    z = [image["z"] for image in made]
    assert np.array_equal(pixels(service.post("/decode", json={"z": z})), grid)
    again = service.post("/decode?format=json", json={"z": z}).json()["images"]
    assert [image["png"] for image in again] == [image["png"] for image in made]
    assert all(image["seed"] is None for image in again)


def test_a_reconstruction_is_encode_and_decode(service: Service) -> None:
    mu = service.post("/encode", files={"image": digit()}).json()["images"][0]["mu"]
    expected = tiles(pixels(service.post("/reconstruct", files={"image": digit()})))[1]
    answer = service.post("/decode", json={"z": [mu]})
    assert np.array_equal(pixels(answer), expected)
    assert np.array_equal(np.array(parameters(answer)["z"], np.float32), np.array([mu], np.float32))


def test_decoded_images_come_as_archives(service: Service) -> None:
    grid = tiles(pixels(service.post("/decode?columns=3", json={"z": Z})))
    arrays = npz(service.post("/decode?format=npz", json={"z": Z}).content)
    assert np.array_equal(arrays["images"], np.stack(grid))
    assert arrays["z"].tolist() == Z
    assert "seeds" not in arrays
    answer = service.post("/decode?format=zip", json={"z": Z})
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    lines = list(csv.reader(io.StringIO(archive.read("manifest.csv").decode(), newline="")))
    assert lines[0] == ["file", "seed", "z0", "z1", "z2"]
    assert lines[1] == ["000000.png", "", "0.5", "-1.0", "2.0"]
    single = service.post("/decode", json={"z": Z[:1]})
    assert archive.read("000000.png") == single.content


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({"json": {"z": [[1.0, 2.0]]}}, 422, "invalid-parameter"),
        ({"json": {"z": [[1.0, 2.0, 3.0], [1.0]]}}, 422, "invalid-parameter"),
        ({"json": {"z": []}}, 422, "invalid-parameter"),
        ({"json": {"z": [1.0, 2.0, 3.0]}}, 422, "invalid-parameter"),
        ({"json": {"z": [[1.0, 2.0, None]]}}, 422, "invalid-parameter"),
        ({"json": {"z": [["a", "b", "c"]]}}, 422, "invalid-parameter"),
        ({"json": {"z": [[1e300, 0.0, 0.0]]}}, 422, "invalid-parameter"),
        ({"json": {"x": Z}}, 422, "invalid-parameter"),
        ({"json": [Z]}, 422, "invalid-parameter"),
        ({"json": {"z": [[0.0] * 3] * 257}}, 422, "limit-exceeded"),
        ({"json": {"z": [[0.0] * 3] * 20_000}}, 422, "limit-exceeded"),
        ('{"z": [[NaN, 0, 0]]}', 422, "invalid-parameter"),
        ('{"z": [[Infinity, 0, 0]]}', 422, "invalid-parameter"),
        ('{"z": [[1e999, 0, 0]]}', 422, "invalid-parameter"),
        ('{"z": [[1, ', 400, "malformed-body"),
        ("", 400, "malformed-body"),
        ("[" * 100_000, 400, "malformed-body"),
        (b"\xff\xfe", 400, "malformed-body"),
        ({"content": b"{}"}, 415, "unsupported-body"),
        ({"data": {"z": "1"}}, 415, "unsupported-body"),
    ],
)
def test_invalid_latents_are_refused_before_anything_is_computed(
    service: Service, computed: list[int], body: Any, status: int, slug: str
) -> None:
    if not isinstance(body, dict):
        body = {"content": body, "headers": {"Content-Type": "application/json"}}
    error = problem(service.post("/decode", **body), status, slug)
    assert error["remedy"]
    assert len(error["detail"]) < 400
    assert computed == []


# --- augment -----------------------------------------------------------------------------------


def augmented(service: Service, query: str) -> Any:
    return service.post(f"/augment?{query}", files={"image": digit(9)})


def test_variants_are_drawn_from_the_posterior(service: Service) -> None:
    body = augmented(service, "n=3&seed=4294967295&temperature=0.5&format=json").json()
    eps = latents.standard_normal(latents.consecutive_seeds(4294967295, 3), 3)
    sigma = np.exp(0.5 * np.array(body["logvar"]))
    expected = np.array(body["mu"]) + 0.5 * sigma * eps
    assert np.allclose([image["z"] for image in body["images"]], expected, atol=1e-6)
    assert [image["seed"] for image in body["images"]] == [4294967295, 0, 1]
    encoded = service.post("/encode", files={"image": digit(9)}).json()["images"][0]
    assert (body["mu"], body["logvar"]) == (encoded["mu"], encoded["logvar"])
    z = [image["z"] for image in body["images"]]
    decoded = service.post("/decode?format=json", json={"z": z}).json()["images"]
    assert [image["png"] for image in decoded] == [image["png"] for image in body["images"]]


def test_at_temperature_zero_every_variant_is_the_reconstruction(service: Service) -> None:
    expected = tiles(pixels(service.post("/reconstruct", files={"image": digit(9)})))[1]
    for tile in tiles(pixels(augmented(service, "n=4&temperature=0"))):
        assert np.array_equal(tile, expected)


def test_a_variant_equals_the_answer_for_its_own_seed(service: Service) -> None:
    first = augmented(service, "n=20&seed=30")
    assert augmented(service, "n=20&seed=30").content == first.content
    grid = tiles(pixels(first))
    for i in (0, 7, 19):
        assert np.array_equal(pixels(augmented(service, f"n=1&seed={30 + i}")), grid[i])
    chosen = augmented(service, "n=2")
    assert augmented(service, f"n=2&seed={chosen.headers['x-seed']}").content == chosen.content
    assert parameters(first)["seed"] == 30


def test_variants_come_as_a_zip(service: Service) -> None:
    archive = zipfile.ZipFile(io.BytesIO(augmented(service, "n=5&seed=1&format=zip").content))
    assert len(archive.namelist()) == 5 + 2
    assert archive.read("000003.png") == augmented(service, "n=1&seed=4").content
    assert json.loads(archive.read("parameters.json"))["endpoint"] == "/augment"


@pytest.mark.parametrize("query", ["n=0", "n=257", "temperature=-1", "temperature=11", "seed=-1"])
def test_variants_have_the_limits_of_samples(
    service: Service, computed: list[int], query: str
) -> None:
    problem(augmented(service, query), 422, "limit-exceeded")
    assert computed == []


def test_one_image_is_varied_at_a_time(service: Service, computed: list[int]) -> None:
    answer = service.post("/augment", files=[("image", digit(0)), ("image", digit(9))])
    problem(answer, 422, "invalid-parameter")
    problem(service.post("/augment"), 422, "wrong-field")
    assert computed == []
