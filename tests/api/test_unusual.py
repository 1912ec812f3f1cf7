"""Uploads that are not like the data are answered, with a warning."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw

from app.settings import Settings
from model_store.store import SHIPPED
from tests.api import typical_versions
from tests.api.service import Service, digit, png, started
from tests.api.typical_versions import black, publish_typical


@pytest.fixture(scope="module")
def shipped() -> Iterator[Service]:
    settings = Settings(store=SHIPPED, model="mnist-flow", device="cpu", log_requests=False)
    with started(settings) as service:
        yield service


@pytest.fixture(scope="module")
def typical(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Start a service whose model has a typicality table and directions."""
    root = tmp_path_factory.mktemp("typical")
    publish_typical(root, "flow", moving=True)
    settings = Settings(store=root, model="flow", device="cpu", log_requests=False)
    with started(settings) as service:
        yield service


def seven() -> bytes:
    drawing = Image.new("L", (200, 260), 0)
    ImageDraw.Draw(drawing).line([(30, 30), (150, 25), (90, 215)], 255, 26, joint="curve")
    file = io.BytesIO()
    drawing.save(file, "PNG")
    return file.getvalue()


def noise() -> bytes:
    return png(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8))


def form(*contents: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("image", ("image.png", content, "image/png")) for content in contents]


def test_a_digit_is_answered_without_a_warning(shipped: Service) -> None:
    answer = shipped.post("/reconstruct?format=json", files=form(seven()))
    assert "x-unusual" not in answer.headers
    assert "unusual" not in answer.json()["images"][0]


def test_noise_is_answered_with_a_warning_that_says_how_unusual_it_is(shipped: Service) -> None:
    answer = shipped.post("/reconstruct?format=json", files=form(seven(), noise()))
    assert answer.status_code == 200
    usual, unusual = answer.json()["images"]
    assert "unusual" not in usual
    warning = unusual["unusual"]
    times = warning["score"] / warning["limit"]
    assert times > 1.5
    assert f"{times:.1f} times" in warning["detail"]
    assert answer.headers["x-unusual"] == f"1;times={times:.1f}"


def test_a_picture_has_the_warning_in_its_header(shipped: Service) -> None:
    answer = shipped.post("/reconstruct", files=form(noise()))
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-unusual"].startswith("0;times=")


def test_the_warnings_of_many_images_do_not_make_a_long_header(shipped: Service) -> None:
    answer = shipped.post("/reconstruct?format=json", files=form(*[noise()] * 64))
    assert answer.status_code == 200
    assert answer.headers["x-unusual"].count("times") == 32
    assert sum("unusual" in image for image in answer.json()["images"]) == 64


def test_a_version_without_a_table_gives_no_warning(service: Service) -> None:
    answer = service.post("/reconstruct?format=json", files=form(noise(), digit()))
    assert answer.status_code == 200
    assert "x-unusual" not in answer.headers


def typical_image() -> bytes:
    return typical_versions.noise(101)


@pytest.mark.parametrize("path", ["/reconstruct", "/encode"])
def test_a_version_with_a_table_warns_by_the_verdict_of_its_score(
    typical: Service, path: str
) -> None:
    files = form(typical_image(), black())
    answer = typical.post(f"{path}?format=json&preprocess=none", files=files)
    usual, foreign = answer.json()["images"]
    assert "unusual" not in usual
    warning = foreign["unusual"]
    assert warning["verdict"] == "out_of_distribution"
    assert warning["quantile"] == 1
    times = warning["score"] / warning["limit"]
    assert answer.headers["x-unusual"] == f"1;times={times:.1f}"
    scored = typical.post("/score?preprocess=none", files=files).json()["images"]
    assert scored[1]["score"] == warning["score"]


def test_the_warning_of_an_interpolation_names_the_end(typical: Service) -> None:
    files = {"a": typical_image(), "b": black()}
    path = "/interpolate?format=json&preprocess=none&steps=3"
    answer = typical.post(path, files=files)
    assert answer.headers["x-unusual"].startswith("b;times=")
    assert "unusual_a" not in answer.json()
    alone = typical.post("/encode?preprocess=none", files=form(black())).json()["images"][0]
    assert answer.json()["unusual_b"] == alone["unusual"]
    one_seed = typical.post(f"{path}&seed_b=3", files={"a": black()})
    assert one_seed.headers["x-unusual"].startswith("a;times=")
    assert "unusual_b" not in one_seed.json()


def test_a_traversal_of_an_unusual_image_has_a_warning_and_no_further_image(
    typical: Service,
) -> None:
    path = "/traverse?format=json&preprocess=none&dims=0,1&steps=3"
    answer = typical.post(path, files=form(black()))
    alone = typical.post("/encode?preprocess=none", files=form(black())).json()["images"][0]
    assert answer.json()["unusual"] == alone["unusual"]
    assert answer.headers["x-unusual"].startswith("0;times=")
    assert [len(row["images"]) for row in answer.json()["dimensions"]] == [3, 3]
    usual = typical.post(path, files=form(typical_image()))
    assert "unusual" not in usual.json()
    assert "x-unusual" not in usual.headers
    assert "unusual" not in typical.post(path).json()


def test_a_traversal_along_a_direction_warns_as_one_of_dimensions(typical: Service) -> None:
    path = "/traverse?format=json&preprocess=none&steps=3"
    answer = typical.post(f"{path}&direction=slant,thickness", files=form(black()))
    along_dimensions = typical.post(f"{path}&dims=0", files=form(black()))
    assert answer.json()["unusual"] == along_dimensions.json()["unusual"]
    assert answer.headers["x-unusual"] == along_dimensions.headers["x-unusual"]
    assert [len(row["images"]) for row in answer.json()["directions"]] == [3, 3]
    usual = typical.post(f"{path}&direction=slant", files=form(typical_image()))
    assert "unusual" not in usual.json()
    assert "x-unusual" not in usual.headers


def test_an_edit_warns_of_each_unusual_upload(typical: Service) -> None:
    path = "/edit?format=json&preprocess=none&direction=slant&by=1"
    files = form(typical_image(), black())
    answer = typical.post(path, files=files)
    usual, foreign = answer.json()["images"]
    alone = typical.post("/encode?preprocess=none", files=form(black())).json()["images"][0]
    assert "unusual" not in usual
    assert foreign["unusual"] == alone["unusual"]
    assert answer.headers["x-unusual"].startswith("1;times=")
    picture = typical.post(path.replace("json", "png"), files=files)
    assert picture.headers["x-unusual"] == answer.headers["x-unusual"]


def test_an_edit_of_latents_or_of_a_seed_has_no_warning(typical: Service) -> None:
    path = "/edit?format=json&direction=slant&by=1"
    mu = typical.post("/encode?preprocess=none", files=form(black())).json()["images"][0]["mu"]
    for answer in (typical.post(path, json={"z": [mu, mu]}), typical.post(f"{path}&seed=1")):
        assert answer.status_code == 200
        assert "x-unusual" not in answer.headers
        assert all("unusual" not in image for image in answer.json()["images"])


@pytest.mark.parametrize("kind", ["json", "png", "zip", "npz"])
def test_variants_of_an_unusual_image_have_its_warning(typical: Service, kind: str) -> None:
    path = f"/augment?format={kind}&preprocess=none&n=2&seed=1"
    answer = typical.post(path, files=form(black()))
    encoded = typical.post("/encode?preprocess=none", files=form(black()))
    assert answer.headers["x-unusual"] == encoded.headers["x-unusual"]
    usual = typical.post(path, files=form(typical_image()))
    assert "x-unusual" not in usual.headers
    if kind == "json":
        assert answer.json()["unusual"] == encoded.json()["images"][0]["unusual"]
        assert "unusual" not in usual.json()


def test_encoding_with_a_version_that_was_not_measured_decodes_nothing(
    service: Service, computed: list[int]
) -> None:
    service.post("/encode", files=form(digit()))
    assert computed == [1]


def test_variants_of_a_version_that_was_not_measured_are_all_that_is_decoded(
    service: Service, computed: list[int]
) -> None:
    service.post("/augment?n=2", files=form(digit()))
    assert computed == [2]
