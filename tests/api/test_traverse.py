from typing import Any

import numpy as np
import pytest

from app.settings import Settings
from tests.api.service import Service, digit, parameters, pixels, problem, started, tiles


def test_there_is_one_row_for_each_dimension(service: Service) -> None:
    assert pixels(service.post("/traverse")).shape == (2 + 3 * 30, 2 + 7 * 30)
    assert pixels(service.post("/traverse?dims=2&steps=5")).shape == (32, 2 + 5 * 30)


def test_the_most_informative_dimension_comes_first(service: Service) -> None:
    rows = service.post("/traverse?format=json").json()["dimensions"]
    assert [row["dim"] for row in rows] == [1, 2, 0]
    assert [row["kl_nats"] for row in rows] == [2.0, 1.0, 0.5]
    assert rows[0]["values"] == [-3, -2, -1, 0, 1, 2, 3]


def test_rows_have_the_order_of_dims(service: Service) -> None:
    rows = service.post("/traverse?format=json&dims=2,0&steps=2&span=1.5").json()["dimensions"]
    assert [row["dim"] for row in rows] == [2, 0]
    assert rows[0]["values"] == [-1.5, 1.5]


def test_without_a_start_the_middle_image_is_that_of_z_0(service: Service) -> None:
    images = tiles(pixels(service.post("/traverse")))
    mean = pixels(service.get("/generate?n=1&temperature=0"))
    assert all(np.array_equal(images[row * 7 + 3], mean) for row in range(3))


def test_a_traversal_can_start_from_a_seed(service: Service) -> None:
    answer = service.post("/traverse?seed=7&format=json")
    z = service.get("/generate?n=1&seed=7&format=json").json()["images"][0]["z"]
    assert answer.json()["z"] == z
    assert answer.headers["x-seed"] == "7"


def test_a_traversal_can_start_from_an_image(service: Service) -> None:
    answer = service.post("/traverse?format=json", files={"image": digit(9)})
    mu = service.post("/reconstruct?format=json", files={"image": digit(9)}).json()
    assert answer.json()["z"] == mu["images"][0]["mu"]
    assert "x-seed" not in answer.headers
    body = {"content": digit(9), "headers": {"Content-Type": "image/png"}}
    assert service.post("/traverse?format=json", **body).json() == answer.json()


def test_the_parameters_in_a_png_reproduce_it(service: Service) -> None:
    first = service.post("/traverse?seed=7&steps=3&span=2")
    stored = parameters(first)
    assert stored["dims"] == [1, 2, 0]
    params = {
        "dims": "1,2,0",
        "seed": stored["seed"],
        "steps": stored["steps"],
        "span": stored["span"],
    }
    assert service.post("/traverse", params=params).content == first.content


def test_the_parameters_for_an_upload_contain_its_latent(service: Service) -> None:
    sent = {"files": {"image": digit(9)}}
    stored = parameters(service.post("/traverse", **sent))
    assert stored["z"] == service.post("/traverse?format=json", **sent).json()["z"]


def test_by_default_as_many_dimensions_are_shown_as_fit(store: Any) -> None:
    with started(Settings(store=store, max_images=16)) as service:
        rows = service.post("/traverse?format=json").json()["dimensions"]
        assert [row["dim"] for row in rows] == [1, 2]
        error = problem(service.post("/traverse?dims=0,1,2"), 422, "limit-exceeded")
        assert error["limit"] == 16


@pytest.mark.parametrize(
    "query",
    [
        "dims=999",
        "dims=3",
        "dims=-1",
        "dims=0,0",
        "dims=0,,1",
        "dims=a",
        "dims=0.5",
        "dims=²",
        "dims=" + "9" * 5000,
        "dims=" + "0," * 2000,
        "dims=0&dims=1",
        "steps=1",
        "steps=257",
        "span=0",
        "span=-1",
        "span=nan",
        "span=11",
        "seed=-1",
        "seed=4294967296",
        "n=3",
    ],
)
def test_an_invalid_parameter_is_refused_before_anything_is_computed(
    service: Service, computed: list[int], query: str
) -> None:
    answer = service.post(f"/traverse?{query}")
    assert answer.status_code == 422
    assert answer.json()["remedy"]
    assert len(answer.json()["detail"]) < 400
    assert computed == []


@pytest.mark.parametrize(
    "files", [[("image", digit())], [("image", digit()), ("image", digit())]], ids=["one", "two"]
)
def test_more_than_one_start_is_refused(
    service: Service, computed: list[int], files: list[tuple[str, bytes]]
) -> None:
    query = "seed=1" if len(files) == 1 else ""
    answer = service.post(f"/traverse?{query}", files=files)
    problem(answer, 422, "invalid-parameter")
    assert computed == []
