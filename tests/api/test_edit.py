"""/edit and /traverse?direction=: images moved along directions with a meaning."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.settings import Settings
from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.model import ExactModel
from model_store.directions import Directions
from model_store.spec import ModelRef
from model_store.store import Store
from tests.api.service import (
    MOVING_DIRECTIONS,
    Service,
    digit,
    parameters,
    pixels,
    problem,
    publish,
    publish_moving,
    started,
    tiles,
)
from tests.api.service import (
    MOVING_STEPS as STEPS,
)
from tests.unit.arithmetic.networks import SPECS, exact_network
from tests.unit.models import a_card, tiny_description


def publish_moving_before_a_flow(root: Path, name: str) -> ExactModel:
    """Publish an exact version whose directions lie before its flow; returns its network."""
    spec, network = SPECS["flow"], exact_network("flow")
    steps = np.random.default_rng(0).normal(0, 0.5, (3, spec.latent)).astype(np.float32)
    description = tiny_description(spec).model_copy(
        update={"latents": None, "directions": MOVING_DIRECTIONS}
    )
    Store(root).publish(
        name, description, None, card=a_card, network=network,
        directions=Directions(MOVING_DIRECTIONS.names, steps, before_flow=True),
    )  # fmt: skip
    return ExactModel(network, spec, lambda function, _: NumpyExecutor(function))


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    store = tmp_path_factory.mktemp("store")
    publish_moving(store, "mnist")
    publish_moving(store, "huge", scale=3e38)
    publish(store, "plain")
    publish_moving_before_a_flow(store, "flow")
    settings = Settings(store=store, model="mnist", device="cpu", log_requests=False)
    with started(settings) as service:
        yield service


def test_an_upload_is_moved_by_the_steps_of_its_directions(moving: Service) -> None:
    path = "/edit?direction=slant,thickness&by=2,-1&format=json"
    answer = moving.post(path, files={"image": digit(5)}).json()
    mu = moving.post("/encode?format=json", files={"image": digit(5)}).json()["images"][0]["mu"]
    (image,) = answer["images"]
    assert image["start"] == mu
    z = np.array(mu, np.float32).astype(np.float64) + (
        2 * STEPS[0].astype(np.float64) - STEPS[1].astype(np.float64)
    )
    assert image["z"] == z.astype(np.float32).tolist()
    decoded = moving.post("/decode?format=json", json={"z": [image["z"]]}).json()
    assert image["png"] == decoded["images"][0]["png"]
    assert answer["moves"] == [
        {"direction": "slant", "by": 2.0},
        {"direction": "thickness", "by": -1.0},
    ]


def test_a_move_by_0_is_the_reconstruction(moving: Service) -> None:
    for model in ("mnist", "flow"):
        edited = moving.post(f"/edit?model={model}&direction=slant&by=0", files={"image": digit(5)})
        pair = pixels(moving.post(f"/reconstruct?model={model}", files={"image": digit(5)}))
        side = len(pixels(edited))
        assert np.array_equal(pixels(edited), tiles(pair, side)[1])


def test_several_images_are_edited_as_each_alone(moving: Service) -> None:
    path = "/edit?direction=slant&by=1.5"
    files = [("image", digit(5)), ("image", digit(-3)), ("image", digit(0))]
    together = tiles(pixels(moving.post(path, files=files)))
    assert len(together) == 3
    for image, (_, content) in zip(together, files, strict=True):
        alone = pixels(moving.post(path, files={"image": content}))
        assert np.array_equal(image, alone)


def test_a_seed_and_latents_can_be_edited_too(moving: Service) -> None:
    z = moving.get("/generate?n=1&seed=7&format=json").json()["images"][0]["z"]
    by_seed = moving.post("/edit?direction=slant&seed=7")
    assert by_seed.headers["x-seed"] == "7"
    assert np.array_equal(
        pixels(by_seed), pixels(moving.post("/edit?direction=slant&by=1", json={"z": [z]}))
    )
    rows = moving.post("/edit?direction=slant&format=json", json={"z": [z, [0, 0, 0]]}).json()
    assert rows["images"][1]["z"] == STEPS[0].tolist()


def test_before_a_flow_a_latent_is_mapped_moved_and_mapped_back(
    moving: Service, tmp_path: Path
) -> None:
    reference = publish_moving_before_a_flow(tmp_path, "flow")
    steps = Store(tmp_path).load(ModelRef(name="flow", version=1)).directions.steps
    u = np.linspace(-1, 1, reference.spec.latent, dtype=np.float32)
    answer = moving.post(
        "/edit?model=flow&direction=thickness&by=-1.5&format=json", json={"z": [u.tolist()]}
    ).json()
    z = reference.to_z(u[None]).astype(np.float64) - 1.5 * steps[1].astype(np.float64)
    expected = reference.to_u(z.astype(np.float32))
    assert answer["images"][0]["z"] == expected[0].tolist()


def test_the_parameters_in_a_png_reproduce_it(moving: Service) -> None:
    first = moving.post("/edit?direction=class:a,%20b&by=-2", files={"image": digit(5)})
    stored = parameters(first)
    again = moving.post(
        "/edit",
        params={"direction": stored["direction"][0], "by": stored["by"][0]},
        json={"z": [stored["z"]]},
    )
    assert np.array_equal(pixels(first), pixels(again))
    assert (stored["endpoint"], stored["direction"]) == ("/edit", ["class:a, b"])


def test_a_traversal_moves_its_start_along_each_direction(moving: Service) -> None:
    path = "/traverse?direction=thickness,slant&steps=5&span=2&seed=3"
    answer = moving.post(f"{path}&format=json").json()
    assert answer["dimensions"] == []
    assert [row["direction"] for row in answer["directions"]] == ["thickness", "slant"]
    assert answer["directions"][0]["values"] == [-2, -1, 0, 1, 2]
    assert answer["directions"][0]["z"][2] == answer["z"]
    grid = pixels(moving.post(path))
    assert grid.shape == (2 + 2 * 30, 2 + 5 * 30)
    edited = pixels(moving.post("/edit?direction=thickness&by=-2&seed=3"))
    assert np.array_equal(tiles(grid)[0], edited)


def test_a_traversal_can_start_from_an_image_from_latents_or_from_0(moving: Service) -> None:
    path = "/traverse?direction=slant&format=json"
    mu = moving.post("/encode?format=json", files={"image": digit(5)}).json()["images"][0]["mu"]
    by_image = moving.post(path, files={"image": digit(5)}).json()
    assert by_image == moving.post(path, json={"z": [mu]}).json()
    assert moving.post(path).json()["z"] == [0, 0, 0]


@pytest.mark.parametrize("kind", ["npz", "zip"])
def test_other_formats_have_the_same_images(moving: Service, kind: str) -> None:
    for path in ("/edit?direction=slant&seed=1", "/traverse?direction=slant&seed=1"):
        answer = moving.post(f"{path}&format={kind}")
        assert answer.status_code == 200, answer.text
        assert answer.content == moving.post(f"{path}&format={kind}").content


def test_models_say_which_directions_they_have(moving: Service) -> None:
    models = {model["name"]: model for model in moving.get("/models").json()["models"]}
    assert models["mnist"]["directions"] == list(MOVING_DIRECTIONS.names)
    assert models["plain"]["directions"] == []
    manifest = moving.get("/models/mnist/1").json()["manifest"]
    assert [entry["name"] for entry in manifest["directions"]["entries"]] == list(
        MOVING_DIRECTIONS.names
    )


def test_answers_along_dimensions_stay_as_they_are(moving: Service) -> None:
    answer = moving.post("/traverse?dims=0&format=json").json()
    assert list(answer) == ["model", "weights_sha256", "generator", "seed", "z", "dimensions"]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("direction=width", "no direction 'width'"),
        ("direction=slant,,thickness&by=1,1,1", "no direction ''"),
        ("direction=slant,slant&by=1,1", "repeated"),
        ("direction=slant&by=1,2", "by has 2 numbers for 1 directions"),
        ("direction=slant,thickness&by=1", "by has 1 numbers for 2 directions"),
        ("direction=slant&by=nan", "'nan' is not a number"),
        ("direction=slant&by=1e5", "'1e5' is not a number"),
        ("direction=slant&by=11", "by is 11"),
        ("direction=slant&by=-10.001", "by is 10.001"),
        ("direction=slant&by=%D9%A3", "is not a number"),
        ("model=plain&direction=slant", "plain@1 has no directions"),
    ],
)
def test_moves_that_cannot_be_made_are_refused(moving: Service, query: str, detail: str) -> None:
    answer = moving.post(f"/edit?{query}&seed=1")
    assert (
        detail in problem(answer, 422, json.loads(answer.content)["type"].split("/")[-1])["detail"]
    )


def test_exactly_one_start_is_edited(moving: Service) -> None:
    nothing = moving.post("/edit?direction=slant")
    assert "nothing to edit" in nothing.json()["detail"]
    for body in ({"files": {"image": digit()}}, {"json": {"z": [[0, 0, 0]]}}):
        both = moving.post("/edit?direction=slant&seed=1", **body)
        assert both.status_code == 422
        assert "both" in both.json()["detail"]
    assert moving.post("/edit?direction=slant", json={"z": []}).status_code == 422
    assert moving.post("/edit", files={"image": digit()}).status_code == 422
    assert moving.post("/traverse?direction=slant&dims=1").status_code == 422
    two = moving.post("/traverse?direction=slant", files=[("image", digit()), ("image", digit())])
    assert two.status_code == 422


def test_too_many_images_are_refused(tmp_path: Path) -> None:
    publish_moving(tmp_path, "mnist")
    settings = Settings(
        store=tmp_path, model="mnist", device="cpu", log_requests=False, max_images=6
    )
    with started(settings) as service:
        assert service.post("/traverse?direction=slant&steps=6").status_code == 200
        assert service.post("/traverse?direction=slant,thickness&steps=4").status_code == 422
        assert service.post("/edit?direction=slant", json={"z": [[0] * 3] * 7}).status_code == 422


def test_a_move_that_leaves_float32_is_refused(moving: Service) -> None:
    answer = moving.post("/edit?model=huge&direction=slant&by=10&seed=1")
    assert "beyond the range of float32" in answer.json()["detail"]
    assert answer.status_code == 422
