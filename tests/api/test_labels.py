"""/generate?label=: images of a class."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from app.sampling import latents
from app.settings import Settings
from tests.api.service import (
    Service,
    parameters,
    pixels,
    problem,
    publish,
    publish_labelled,
    publish_labelled_before_a_flow,
    started,
    tiles,
)
from tests.unit.models import tiny_classes


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Serve `garments` with the classes Dress and 7, `letters` with q and Q, `mnist` with none."""
    root = tmp_path_factory.mktemp("labelled")
    publish_labelled(root, "garments")
    publish_labelled(root, "letters", ("q", "Q"))
    publish(root, "mnist")
    with started(Settings(store=root, model="garments", device="cpu")) as service:
        yield service


def test_a_class_is_requested_by_name_or_index(labelled: Service) -> None:
    answers = [labelled.get(f"/generate?seed=3&n=4&label={label}") for label in ("7", "1", " 7 ")]
    assert len({answer.content for answer in answers}) == 1
    by_name, by_place = (
        labelled.get(f"/generate?seed=3&n=4&label={label}") for label in ("dress", "0")
    )
    assert by_name.content == by_place.content != answers[0].content
    assert parameters(by_name)["label"] == "Dress"


def test_the_case_of_a_name_counts_if_two_classes_differ_in_it_alone(labelled: Service) -> None:
    path = "/generate?seed=3&n=4&model=letters&label="
    small, large = (labelled.get(path + label) for label in ("q", "Q"))
    assert (parameters(small)["label"], parameters(large)["label"]) == ("q", "Q")
    assert small.content == labelled.get(path + "0").content
    assert large.content == labelled.get(path + "1").content
    assert small.content != large.content


def test_an_image_of_a_class_depends_on_its_own_seed_only(labelled: Service) -> None:
    grid = labelled.get("/generate?seed=40&n=5&label=7&columns=5")
    for image, seed in zip(tiles(pixels(grid)), range(40, 45), strict=True):
        single = labelled.get(f"/generate?seed={seed}&n=1&label=7")
        assert np.array_equal(pixels(single), image)  # one image has no border


def test_without_a_label_the_same_seed_is_a_sample_of_the_prior(labelled: Service) -> None:
    plain, of_class = (
        labelled.get(f"/generate?seed=3&n=2&format=json{label}").json()
        for label in ("", "&label=0")
    )
    (mixture, _) = tiny_classes()
    for prior, drawn in zip(plain["images"], of_class["images"], strict=True):
        expected = mixture.sample(0.0, np.array(prior["z"]))
        assert drawn["z"] == pytest.approx(expected, rel=2e-3)
    assert (plain["label"], of_class["label"]) == (None, "Dress")


def test_draws_for_a_class_go_through_the_flow_of_the_model(tmp_path: Path) -> None:
    vae = publish_labelled_before_a_flow(tmp_path, "bent")
    with started(Settings(store=tmp_path, model="bent", device="cpu")) as service:
        answer = service.get("/generate?seed=1&n=40&label=7&temperature=0&format=json").json()
        u = torch.tensor([image["z"] for image in answer["images"]])
        means = {tuple(np.rint(z)) for z in vae.flow.inverse(u).numpy()}  # type: ignore[union-attr]
        assert means == {(2.0, 2.0, 2.0), (3.0, 3.0, 3.0)}
        assert not torch.allclose(u, u.round(), atol=0.01), "the flow bends nothing"
        grid = service.get("/generate?seed=1&n=5&label=7&columns=5")
        for image, seed in zip(tiles(pixels(grid)), range(1, 6), strict=True):
            single = service.get(f"/generate?seed={seed}&n=1&label=7")
            assert np.array_equal(pixels(single), image)
        plain = service.get("/generate?seed=1&n=1&format=json").json()["images"][0]["z"]
        assert plain == pytest.approx(
            latents.standard_normal(latents.consecutive_seeds(1, 1), 3)[0]
        )


def test_at_temperature_zero_the_latents_of_a_class_are_the_means_of_its_components(
    labelled: Service,
) -> None:
    answer = labelled.get("/generate?seed=1&n=200&label=7&temperature=0&format=json").json()
    first_values = [image["z"][0] for image in answer["images"]]
    assert set(first_values) == {2.0, 3.0}
    assert first_values.count(3.0) == pytest.approx(150, abs=25)


@pytest.mark.parametrize("label", ["shoe", "2", "-1", "1.0", "9" * 50, "%C2%B2"])
def test_an_unknown_class_is_refused_and_the_classes_are_listed(
    labelled: Service, label: str
) -> None:
    error = problem(labelled.get(f"/generate?label={label}"), 422, "invalid-parameter")
    assert "it has: Dress, 7" in error["detail"]
    assert "from 0 to 1" in error["remedy"]


def test_a_model_without_classes_refuses_a_label_and_keeps_serving(labelled: Service) -> None:
    error = problem(labelled.get("/generate?model=mnist&label=7"), 422, "invalid-parameter")
    assert "without class statistics" in error["detail"]
    assert "label" not in parameters(labelled.get("/generate?model=mnist"))


def test_the_list_of_models_has_the_classes_of_each(labelled: Service) -> None:
    models = {model["name"]: model for model in labelled.get("/models").json()["models"]}
    assert models["garments"]["classes"] == ["Dress", "7"]
    assert models["mnist"]["classes"] == []


def test_the_parameters_in_a_png_reproduce_it(labelled: Service) -> None:
    first = labelled.get("/generate?n=3&label=1&temperature=0.8")
    stored = parameters(first)
    query = {
        name: stored[name] for name in ("n", "seed", "label", "temperature", "columns", "model")
    }
    assert labelled.get("/generate", params=query).content == first.content
