import base64
import io

import numpy as np
import pytest
from PIL import Image

from app.sampling import latents
from tests.api.service import Service, parameters, pixels, problem, tiles


def test_sixteen_images_come_as_a_square_grid_by_default(service: Service) -> None:
    assert pixels(service.get("/generate")).shape == (2 + 4 * 30, 2 + 4 * 30)


@pytest.mark.parametrize(("n", "columns"), [(2, 2), (3, 2), (5, 3), (9, 3), (10, 4), (256, 16)])
def test_the_grid_is_as_square_as_it_can_be(service: Service, n: int, columns: int) -> None:
    rows = -(-n // columns)
    grid = pixels(service.get(f"/generate?n={n}&seed=1"))
    assert grid.shape == (2 + rows * 30, 2 + columns * 30)


def test_columns_can_be_chosen(service: Service) -> None:
    assert pixels(service.get("/generate?n=6&columns=6")).shape == (32, 2 + 6 * 30)


def test_a_single_image_has_no_padding(service: Service) -> None:
    assert pixels(service.get("/generate?n=1")).shape == (28, 28)


def test_get_and_post_give_the_same_bytes(service: Service) -> None:
    got, posted = service.get("/generate?n=4&seed=7"), service.post("/generate?n=4&seed=7")
    assert got.content == posted.content
    assert got.headers["x-seed"] == "7"


def test_image_i_equals_the_answer_for_its_own_seed(service: Service) -> None:
    together = tiles(pixels(service.get("/generate?n=20&seed=4294967290")))
    for i in (0, 5, 6, 17, 19):
        seed = (4294967290 + i) % 2**32
        single = pixels(service.get(f"/generate?n=1&seed={seed}"))
        assert np.array_equal(single, together[i])


def test_a_request_without_a_seed_returns_one_that_reproduces_it(service: Service) -> None:
    first = service.get("/generate?n=3")
    again = service.get(f"/generate?n=3&seed={first.headers['x-seed']}")
    assert again.content == first.content
    assert service.get("/generate?n=3").headers["x-seed"] != first.headers["x-seed"]


def test_the_parameters_in_a_png_reproduce_it(service: Service) -> None:
    first = service.get("/generate?n=5&temperature=0.5&columns=2&model=mnist@2")
    stored = parameters(first)
    assert stored["endpoint"] == "/generate"
    assert stored["generator"] == latents.GENERATOR
    assert stored["weights_sha256"] == first.headers["x-weights-sha256"]
    names = ("n", "seed", "temperature", "columns", "model")
    again = service.get("/generate", params={name: stored[name] for name in names})
    assert again.content == first.content


def test_a_png_has_no_parameters_if_metadata_is_false(service: Service) -> None:
    silent = service.get("/generate?n=2&seed=7&metadata=false")
    assert "parameters" not in Image.open(io.BytesIO(silent.content)).info
    assert np.array_equal(pixels(silent), pixels(service.get("/generate?n=2&seed=7")))


def test_temperature_zero_gives_the_same_image_for_every_seed(service: Service) -> None:
    images = tiles(pixels(service.get("/generate?n=4&temperature=0")))
    assert all(np.array_equal(image, images[0]) for image in images)


def test_json_has_the_images_their_seeds_and_latents(service: Service) -> None:
    answer = service.get("/generate?n=3&seed=4294967295&format=json")
    body = answer.json()
    assert [image["seed"] for image in body["images"]] == [4294967295, 0, 1]
    assert body["model"] == answer.headers["x-model"] == "mnist@1"
    grid = tiles(pixels(service.get("/generate?n=3&seed=4294967295")))
    z = latents.standard_normal(latents.consecutive_seeds(4294967295, 3), 3)
    for i, image in enumerate(body["images"]):
        shown = Image.open(io.BytesIO(base64.b64decode(image["png"])))
        assert np.array_equal(np.asarray(shown), grid[i])
        assert np.array_equal(np.array(image["z"], np.float32), z[i])


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "image/png"),
        ("application/json", "application/json"),
        ("application/json, image/png;q=0.5", "application/json"),
        ("application/json;q=0.5, image/*", "image/png"),
        ("image/png;q=0, */*", "application/json"),
        ("*/*;q=nonsense", "image/png"),
    ],
)
def test_accept_chooses_the_format(service: Service, accept: str, expected: str) -> None:
    answer = service.get("/generate?n=1", headers={"Accept": accept})
    assert answer.headers["content-type"] == expected


def test_format_takes_precedence_over_accept(service: Service) -> None:
    answer = service.get("/generate?n=1&format=png", headers={"Accept": "application/json"})
    assert answer.headers["content-type"] == "image/png"


def test_a_client_that_accepts_no_offered_format_gets_406(
    service: Service, computed: list[int]
) -> None:
    answer = service.get("/generate", headers={"Accept": "text/html"})
    assert "format=" in problem(answer, 406, "not-acceptable")["remedy"]
    assert computed == []


def test_a_name_without_a_value_counts_as_absent(service: Service) -> None:
    answer = service.get("/generate?n=&seed=&model=&temperature=&label=&columns=&format=")
    assert pixels(answer).shape == (122, 122)


@pytest.mark.parametrize("reference", ["mnist", "mnist@1", "mnist@production"])
def test_a_model_is_named_by_name_version_or_alias(service: Service, reference: str) -> None:
    assert service.get(f"/generate?model={reference}").headers["x-model"] == "mnist@1"


def test_versions_and_models_differ(service: Service) -> None:
    answers = [service.get(f"/generate?seed=1&model={m}") for m in ("mnist", "mnist@2", "other")]
    assert [a.headers["x-model"] for a in answers] == ["mnist@1", "mnist@2", "other@1"]
    assert len({a.content for a in answers}) == 3


def test_a_model_without_classes_refuses_a_label(service: Service, computed: list[int]) -> None:
    error = problem(service.get("/generate?label=3"), 422, "invalid-parameter")
    assert "without class statistics" in error["detail"]
    assert computed == []


@pytest.mark.parametrize(
    ("query", "slug", "limit"),
    [
        ("n=0", "limit-exceeded", 1),
        ("n=-3", "limit-exceeded", 1),
        ("n=257", "limit-exceeded", 256),
        ("n=1000000000", "limit-exceeded", 256),
        ("n=" + "9" * 4000, "limit-exceeded", 256),
        ("n=abc", "invalid-parameter", None),
        ("n=1.5", "invalid-parameter", None),
        ("n=1&n=2", "invalid-parameter", None),
        ("seed=-1", "limit-exceeded", 0),
        ("seed=4294967296", "limit-exceeded", 4294967295),
        ("seed=1e400", "invalid-parameter", None),
        ("temperature=-1", "limit-exceeded", 0),
        ("temperature=nan", "invalid-parameter", None),
        ("temperature=inf", "invalid-parameter", None),
        ("temperature=1e400", "invalid-parameter", None),
        ("temperature=10.5", "limit-exceeded", 10),
        ("columns=0", "limit-exceeded", 1),
        ("columns=100000000000000000000", "limit-exceeded", 256),
        ("format=gif", "invalid-parameter", None),
        ("metadata=perhaps", "invalid-parameter", None),
        ("sed=7", "invalid-parameter", None),
        ("%00=7", "invalid-parameter", None),
        ("model=mnist%40%40", "invalid-reference", None),
        ("model=../../etc", "invalid-reference", None),
    ],
)
def test_an_invalid_parameter_is_refused_before_anything_is_computed(
    service: Service, computed: list[int], query: str, slug: str, limit: float | None
) -> None:
    error = problem(service.get(f"/generate?{query}"), 422, slug)
    assert error.get("limit") == limit
    assert error["remedy"]
    assert len(error["detail"]) < 400
    assert computed == []


def test_a_misspelt_parameter_gets_a_suggestion(service: Service) -> None:
    error = problem(service.get("/generate?sed=7"), 422, "invalid-parameter")
    assert error["remedy"] == "did you mean seed?"


@pytest.mark.parametrize(
    ("reference", "slug"),
    [
        ("nothing", "model-not-found"),
        ("mnist@3", "version-not-found"),
        ("mnist@staging", "alias-not-found"),
    ],
)
def test_an_unknown_model_is_not_found(
    service: Service, computed: list[int], reference: str, slug: str
) -> None:
    problem(service.get(f"/generate?model={reference}"), 404, slug)
    assert computed == []


def test_parameters_in_a_body_are_refused(service: Service, computed: list[int]) -> None:
    error = problem(service.post("/generate", data={"n": "3"}), 415, "unsupported-body")
    assert "query" in error["remedy"]
    assert computed == []
