"""Uploads that are not like the data are answered, with a warning."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw

from app.settings import Settings
from model_store.store import SHIPPED
from tests.api.service import Service, digit, png, started


@pytest.fixture(scope="module")
def shipped() -> Iterator[Service]:
    settings = Settings(store=SHIPPED, model="lab", device="cpu", log_requests=False)
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
    times = warning["error"] / warning["limit"]
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


def test_a_version_without_measured_errors_gives_no_warning(service: Service) -> None:
    answer = service.post("/reconstruct?format=json", files=form(noise(), digit()))
    assert answer.status_code == 200
    assert "x-unusual" not in answer.headers
