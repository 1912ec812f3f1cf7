"""The typicality table that is published, and the measurement of what it tells apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model_store import typicality as tables
from model_store.arithmetic.golden import executor_maker
from model_store.arithmetic.model import ExactModel
from model_store.spec import Description, Flow, ModelRef, ModelSpec, TrainingRecord
from model_store.vae import VAE
from model_store.vae.exact import ExactVAE
from tests.training.conftest import strokes, write_idx
from tests.unit.arithmetic.networks import SPECS, exact_network
from training.data.images import Images, Splits
from training.evaluation import foreign_images, typicality
from training.evaluation.evaluate import evaluate
from training.evaluation.level import EvaluationLevel
from training.evaluation.likelihood import bound_nats
from training.fitting.trainer import initialise
from training.publishing import model_card


def stroke_images(images: int, seed: int) -> Images:
    return Images(torch.from_numpy(strokes(images, seed)).unsqueeze(1))


@pytest.fixture(scope="module")
def splits() -> Splits:
    return Splits("strokes", stroke_images(80, 1), stroke_images(40, 2))


@pytest.mark.parametrize(
    ("other", "area"), [([5.0, 6.0], 1.0), ([0.0], 0.0), ([2.0], 0.5), ([1.5, 2.5], 0.5)]
)
def test_auroc_is_the_probability_that_the_other_image_is_higher(other: list[float], area: float):
    assert typicality.auroc(np.array([1.0, 2.0, 3.0]), np.array(other)) == pytest.approx(area)


def test_a_table_holds_the_scores_of_the_test_images(vae: VAE, splits: Splits):
    table = typicality.fit(vae, splits)
    values = tables.scores(typicality.statistics(vae, splits.test), table.centre, table.scale)
    assert table.images == 40
    assert table.limit == pytest.approx(np.quantile(values, 0.99), abs=1e-4)
    trained = typicality.statistics(vae, splits.train)
    assert table.centre == pytest.approx(trained.mean(axis=0), abs=1e-3)


def test_the_statistics_of_an_exact_version_are_those_of_the_grey_levels_that_it_serves():
    network, spec = exact_network("flow"), SPECS["flow"]
    served_model = ExactModel(network, spec, executor_maker("numpy"))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 1, 6, 6), np.uint8)
    mu, _ = served_model.encode(pixels)
    served = tables.statistics(pixels, served_model.decode(mu), mu)
    measured = typicality.statistics(ExactVAE(network, spec), Images(torch.from_numpy(pixels)))
    assert (measured == served).all()


@pytest.mark.parametrize("prior", [None, Flow(couplings=2, hidden=4)])
def test_the_mean_elbo_of_images_is_the_published_one(
    spec: ModelSpec, splits: Splits, prior: Flow | None
):
    vae = initialise(spec.model_copy(update={"prior": prior}), seed=0).eval()
    with torch.no_grad():
        estimates = typicality.estimate(vae, splits.test, 64)
    expected = -sum(bound_nats(vae, splits.test, 64))
    assert estimates.elbo.mean() == pytest.approx(expected, abs=1.0)
    assert (estimates.elbo <= -estimates.nll + 1e-3).all()


def test_noise_is_told_from_strokes_and_every_kind_has_an_auroc(vae: VAE, splits: Splits):
    metrics = evaluate(vae, splits, EvaluationLevel.BOUND).metrics
    assert metrics["ood_auroc[noise]"].value == 1
    assert metrics["ood_atypical[noise]"].value == 1
    kinds = ["noise", "constant", "mirrored", "upside down", "turned"]
    assert [name for name in metrics if name.startswith("ood_auroc[")] == [
        f"ood_auroc[{kind}]" for kind in kinds
    ]
    assert 0 <= metrics["ood_auroc_of_elbo[noise]"].value <= 1


def test_the_level_quick_measures_no_other_images(vae: VAE, splits: Splits):
    evaluation = evaluate(vae, splits, EvaluationLevel.QUICK)
    assert evaluation.typicality is None
    assert not any(name.startswith("ood_") for name in evaluation.metrics)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return a folder with generated garments, digits and letters."""
    for name in ("FashionMNIST", "MNIST"):
        raw = tmp_path / name / "raw"
        raw.mkdir(parents=True)
        for prefix in ("train", "t10k"):
            write_idx(raw / f"{prefix}-images-idx3-ubyte", strokes(12, 3))
            write_idx(raw / f"{prefix}-labels-idx1-ubyte", np.zeros(12, np.uint8))
    for label in ("A", "a_", "7"):
        folder = tmp_path / "glyphs" / "test" / label
        folder.mkdir(parents=True)
        Image.fromarray(strokes(1, 4)[0]).resize((32, 32)).save(folder / "font.png")
    return tmp_path


def kinds(splits: Splits, spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    return {
        kind: tuple(images.pixels.shape) for kind, images, _ in foreign_images.kinds(splits, spec)
    }


def test_other_data_sets_are_measured_if_they_are_in_the_data_folder(
    data_dir: Path, splits: Splits, spec: ModelSpec
):
    beside = kinds(replace(splits, data_dir=data_dir), spec)
    assert beside["digits"] == beside["garments"] == (12, 1, 28, 28)
    assert beside["letters"] == (2, 1, 28, 28)  # the digit 7 is left out
    assert beside.keys() - kinds(splits, spec).keys() == {"digits", "garments", "letters"}


def test_a_data_set_is_not_foreign_to_itself(data_dir: Path, splits: Splits, spec: ModelSpec):
    own = {"MNIST": "digits", "Fashion-MNIST": "garments", "glyphs": "letters"}
    for title, kind in own.items():
        assert kind not in kinds(replace(splits, title=title, data_dir=data_dir), spec)


def test_images_of_another_size_are_prepared_as_uploads_are(data_dir: Path):
    spec = SPECS["colour"]
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), np.uint8)
    images = Images(torch.from_numpy(pixels))
    shapes = kinds(Splits("shapes", images, images, data_dir=data_dir), spec)
    assert {shape[1:] for shape in shapes.values()} == {(3, 8, 8)}


def test_damaged_files_beside_the_data_are_not_measured(
    data_dir: Path, splits: Splits, spec: ModelSpec
):
    (data_dir / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    for path in (data_dir / "glyphs" / "test").glob("*/*.png"):
        path.write_bytes(b"no image")
    beside = kinds(replace(splits, data_dir=data_dir), spec)
    assert not {"garments", "letters"} & beside.keys()


def test_the_card_has_a_table_of_other_kinds_and_names_those_that_were_missing(
    vae: VAE, splits: Splits, data_dir: Path
):
    (data_dir / "glyphs").rename(data_dir / "elsewhere")
    evaluation = evaluate(vae, replace(splits, data_dir=data_dir), EvaluationLevel.BOUND)
    record = TrainingRecord(preset="lab", dataset="strokes", seed=0, epochs=1)
    description = Description(
        spec=vae.spec, training=record, metrics=evaluation.metrics, latents=evaluation.latents
    )
    card = model_card.write(ModelRef.parse("strokes@1"), description, ())
    _, _, section = card.partition("### Images of other kinds")
    for name in ("ood_auroc[garments]", "ood_auroc[digits]", "ood_atypical[turned]"):
        assert f"| {name} | " in section
    assert "Not measured, because the data were missing: letters." in section
