"""Directions that are fitted to images whose attributes are known, and their measured effects."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model_store.spec import (
    MLP,
    DirectionTable,
    ImageShape,
    Manifest,
    ModelRef,
    ModelSpec,
    TrainingRecord,
)
from model_store.store import Store
from model_store.vae import VAE
from training.config import load_preset
from training.data.images import Images, Splits
from training.evaluation.attributes import known_attributes
from training.evaluation.directions import find_directions, measure_directions
from training.evaluation.evaluate import evaluate
from training.evaluation.level import EvaluationLevel
from training.evaluation.verify import EFFECT_TOLERANCE, check_statements
from training.publishing.options import Figures, ReleaseOptions
from training.publishing.release import prepare_release

SHAPE = ImageShape(height=8, width=8)


class LinearVAE(VAE):
    """A VAE whose latents are 8 (mean - 1/2) of the four quarters of an image."""

    def __init__(self) -> None:
        super().__init__(ModelSpec(network=MLP(hidden=(4,)), latent=4, image=SHAPE))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        quarters = torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)
        mu = 8 * (quarters - 0.5)
        return mu, torch.full_like(mu, -9.0)

    def logits(self, z: Tensor) -> Tensor:
        quarters = (z / 8 + 0.5).clamp(0.002, 0.998)
        image = torch.nn.functional.interpolate(quarters.view(-1, 1, 2, 2), scale_factor=4)
        return torch.logit(image)


def quarters(images: int, seed: int) -> tuple[Images, np.ndarray]:
    """Images of four grey quarters; `top` and `left` are attributes, and the class is the last."""
    noise = np.random.default_rng(seed)
    levels = noise.uniform(60, 200, (images, 4))
    labels = noise.integers(0, 2, images)
    levels[:, 3] = np.where(labels == 1, 180, 80) + noise.normal(0, 5, images)
    levels = np.rint(levels)
    pixels = torch.from_numpy(levels.astype(np.uint8)).view(-1, 1, 2, 2)
    pixels = pixels.repeat_interleave(4, 2).repeat_interleave(4, 3)
    attributes = {
        "top": torch.from_numpy(levels[:, 0] + levels[:, 1]).float(),
        "left": torch.from_numpy(levels[:, 0] + levels[:, 2]).float(),
        "constant": torch.ones(images),
        "class_alone": torch.from_numpy(labels.astype(np.float32)),
        "unknown": torch.full((images,), torch.nan),
    }
    return Images(pixels, torch.from_numpy(labels), attributes), levels


@pytest.fixture(scope="module")
def splits() -> Splits:
    (train, _), (test, _) = quarters(400, 0), quarters(80, 1)
    return Splits("quarters", train, test, ("dark", "bright, last"))


def changes(table: DirectionTable, name: str, by: float) -> dict[str, float]:
    entry = next(entry for entry in table.entries if entry.name == name)
    return next(effect for effect in entry.effects if effect.by == by).changes


def test_attributes_that_vary_within_classes_and_classes_have_directions(splits: Splits):
    found = find_directions(LinearVAE(), splits, "folder", None)
    assert found.vectors.names == ("top", "left", "class:dark", "class:bright, last")
    assert found.table is not None
    assert found.table.names == found.vectors.names
    assert not found.vectors.before_flow


def test_a_direction_changes_what_it_is_named_after_and_leaves_the_class_and_others_alone(
    splits: Splits,
):
    vectors = find_directions(LinearVAE(), splits, "folder", None).vectors
    top, left = vectors.step("top"), vectors.step("left")
    # top = first + second quarter. The first is a part of `left` too, so that the third, which is
    # a part of `left` alone, moves the other way; the fourth is the class.
    assert top[1] > 0.3
    assert left[2] > 0.3
    assert abs(top[3]) < 0.15 * top[1]
    assert abs(left[3]) < 0.15 * left[2]
    effect = changes(measure_directions(LinearVAE(), splits, "folder", None, vectors), "top", 1)
    assert effect["top"] > 0.6
    assert abs(effect["left"]) < 0.25 * effect["top"]


def test_one_step_is_one_standard_deviation_of_the_latents_along_it(splits: Splits):
    vae = LinearVAE()
    vectors = find_directions(vae, splits, "folder", None).vectors
    mu = vae.posterior(splits.train.batch(torch.arange(400)))[0].double().numpy()
    for step in vectors.steps.astype(np.float64):
        length = np.linalg.norm(step)
        assert length == pytest.approx((mu @ (step / length)).std(), rel=1e-5)


def test_effects_grow_with_the_move_and_change_sign_with_it(splits: Splits):
    table = find_directions(LinearVAE(), splits, "folder", None).table
    assert table is not None
    effects = {by: changes(table, "left", by)["left"] for by in (-2, -1, 1, 2)}
    assert effects[2] == pytest.approx(-effects[-2], rel=0.2)
    assert effects[2] == pytest.approx(2 * effects[1], rel=0.2)


def test_a_class_is_reached_along_its_direction(splits: Splits):
    vae = LinearVAE()
    step = find_directions(vae, splits, "folder", None).vectors.step("class:bright, last")
    assert step[3] > 0.9 * np.linalg.norm(step)


def test_the_prediction_of_stated_attributes_is_scored_on_the_test_split(splits: Splits):
    table = find_directions(LinearVAE(), splits, "folder", None).table
    assert table is not None
    r2 = {entry.name: entry.r2 for entry in table.entries}
    assert r2["top"] == pytest.approx(1, abs=0.02)  # a sum of pixels is predicted by pixels
    assert r2["class:dark"] is None


def test_fitting_twice_gives_the_same_bytes(splits: Splits):
    one, other = (find_directions(LinearVAE(), splits, "folder", None) for _ in range(2))
    assert one.vectors.steps.tobytes() == other.vectors.steps.tobytes()
    assert one.table == other.table


def test_unknown_values_do_not_count(splits: Splits):
    top = splits.train.attributes["top"].clone()
    top[::2] = torch.nan
    half = replace(splits.train, attributes={**splits.train.attributes, "top": top})
    step = find_directions(LinearVAE(), replace(splits, train=half), "folder", None).vectors
    assert step.step("top")[1] > 0.3


def test_data_without_attributes_and_classes_has_no_directions(splits: Splits):
    bare = Splits("bare", Images(splits.train.pixels), Images(splits.test.pixels))
    found = find_directions(LinearVAE(), bare, "folder", None)
    assert len(found.vectors) == 0
    assert found.table is None


def test_digits_are_measured_and_others_are_not():
    pixels = torch.zeros((3, 1, 28, 28), dtype=torch.uint8)
    pixels[:, :, 4:24, 12:15] = 255
    images = Images(pixels)
    measured = known_attributes(images, "mnist")
    assert list(measured) == ["thickness", "slant", "width", "height", "length"]
    assert measured["height"] == pytest.approx([20] * 3, abs=1)
    assert known_attributes(images, "fashion-mnist") == {}


def test_measures_that_do_not_vary_have_no_direction_and_no_effect():
    pixels = torch.zeros((60, 1, 28, 28), dtype=torch.uint8)
    for i, image in enumerate(pixels[:, 0]):
        image[4:24, 12 : 14 + i % 5] = 255  # bars of one height and slant, and five widths
    splits = Splits("bars", Images(pixels), Images(pixels[:10]))
    torch.manual_seed(0)
    vae = VAE(ModelSpec(network=MLP(hidden=(4,)), latent=3)).eval()
    found = find_directions(vae, splits, "mnist", None)
    assert found.table is not None
    assert "width" in found.vectors.names
    assert not {"slant", "height"} & set(found.vectors.names)
    for entry in found.table.entries:
        assert entry.effects[0].changes.keys() == set(found.vectors.names)


def test_a_release_has_directions_a_section_in_its_card_and_effects_that_are_measured_again(
    tmp_path: Path, splits: Splits
):
    record = TrainingRecord(
        preset="lab", dataset="quarters", seed=1, epochs=0,
        settings=load_preset("lab").model_dump(mode="json") | {"data": {"dataset": "folder"}},
    )  # fmt: skip
    options = ReleaseOptions(EvaluationLevel.FULL, figures=Figures.MODEL, arithmetic="float")
    vae = VAE(ModelSpec(network=MLP(hidden=(4,)), latent=4, image=SHAPE))
    store = Store(tmp_path)
    manifest = prepare_release(vae, splits, record, options).publish(store, "quarters")
    ref = ModelRef(name="quarters", version=1)
    stored, card = store.load(ref), store.card(ref)
    assert stored.directions.names == manifest.direction_names
    assert "## Directions" in card
    assert "`class:bright, last`" in card
    again = measure_directions(vae.eval(), splits, "folder", None, stored.directions)
    evaluation = evaluate(vae, splits, EvaluationLevel.QUICK)
    checks = check_statements(manifest, card, evaluation, EvaluationLevel.QUICK, again).checks
    names = [check.name for check in checks if check.name.startswith("direction ")]
    assert len(names) == 4
    assert all(check.agrees for check in checks if check.name in names)


def test_an_effect_that_differs_is_reported(splits: Splits):
    table = find_directions(LinearVAE(), splits, "folder", None).table
    assert table is not None
    first = table.entries[0]
    wrong = first.effects[0].changes | {"top": first.effects[0].changes["top"] + 0.1}
    effects = (first.effects[0].model_copy(update={"changes": wrong}), *first.effects[1:])
    entries = (first.model_copy(update={"effects": effects}), *table.entries[1:])
    changed = table.model_copy(update={"entries": entries})
    vae = LinearVAE()
    evaluation = evaluate(vae, splits, EvaluationLevel.QUICK)
    manifest = Manifest(
        spec=vae.spec,
        training=TrainingRecord(preset="lab", dataset="quarters", seed=1, epochs=0),
        directions=changed,
        name="quarters",
        version=1,
        created_at=datetime.now(UTC),
        files={},
    )
    checks = check_statements(manifest, "", evaluation, EvaluationLevel.QUICK, table).checks
    (failed,) = [
        check for check in checks if check.name.startswith("direction ") and not check.agrees
    ]
    assert failed.name == "direction top: top by -2"
    assert failed.difference == pytest.approx(-0.1)
    assert failed.tolerance == EFFECT_TOLERANCE
