"""`complete` publishes what a version lacks; tests with an untrained model and a few images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_store.spec import ModelRef, ModelSpec, TrainingRecord
from model_store.store import ENCODED_IMAGES, Store
from tests.training.conftest import call, strokes, write_idx
from training.config import load_preset
from training.data import loading
from training.evaluation.level import EvaluationLevel
from training.fitting.trainer import initialise
from training.publishing.options import Figures, ReleaseOptions
from training.publishing.release import Release, prepare_release

ONE, TWO = (ModelRef.parse(f"strokes@{n}") for n in (1, 2))


def write_data(folder: Path, seed: int, classes: int = 2, images: int = 44) -> Path:
    """Write generated images of two classes, or of ten, in MNIST's format."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, count in {"train": images, "t10k": 40}.items():
        write_idx(raw / f"{prefix}-images-idx3-ubyte", strokes(count, seed + count))
        labels = (np.arange(count) % classes).astype(np.uint8)
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", labels)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), seed=0)


@pytest.fixture(scope="module")
def release(data: Path) -> Release:
    """Return an exact version with a typicality table and latents of test images, but no directions."""
    return release_of(data)


def release_of(data: Path) -> Release:
    """Return an exact version that was measured quickly, with the weights that training begins with."""
    preset = load_preset("lab")
    spec = ModelSpec(network=preset.model.network, latent=3)
    record = TrainingRecord(
        preset="lab", dataset="MNIST", seed=0, epochs=0, settings=preset.model_dump(mode="json")
    )
    splits = loading.load(preset.data, data, spec)
    options = ReleaseOptions(EvaluationLevel.QUICK, figures=Figures.MODEL, float_weights=False)
    return prepare_release(initialise(spec, seed=0), splits, record, options)


def complete(store: Store, data_dir: Path, ref: str = "strokes@1", *further: str) -> int:
    return call(
        "complete", ref, "--store", str(store.root), "--data-dir", str(data_dir), "--threads", "1",
        *further,
    )  # fmt: skip


def test_a_version_gets_what_it_lacks_and_keeps_what_it_has(
    tmp_path: Path, release: Release, data: Path, capsys: pytest.CaptureFixture[str]
):
    store = Store(tmp_path)
    replace(release, encoded_images=None).publish(store, "strokes")
    assert complete(store, data) == 0
    output = capsys.readouterr()
    assert f"strokes@1 lacks directions, {ENCODED_IMAGES}" in output.err
    assert "published strokes@2" in output.out
    one, two = store.load(ONE), store.verify(TWO)
    assert one.manifest.files.items() - two.files.items() == {
        ("card.md", one.manifest.files["card.md"])
    }
    assert two.weights_sha256 == one.manifest.weights_sha256
    assert two.metrics == one.manifest.metrics
    assert two.directions is not None
    assert "class:0" in two.directions.names
    published, measured = store.load(TWO).encoded_images, release.encoded_images
    assert published is not None
    assert measured is not None
    assert np.array_equal(published.levels, measured.levels)
    assert "## Directions" in store.card(TWO)


def test_a_version_without_any_part_gets_the_table_that_its_publication_would_have_made(
    tmp_path: Path, release: Release, data: Path
):
    store = Store(tmp_path)
    replace(release, typicality=None).publish(store, "strokes")
    assert complete(store, data) == 0
    assert store.load(TWO).typicality == release.typicality
    assert "ood_auroc[noise]" in store.manifest(TWO).metrics
    assert "### Images of other kinds" in store.card(TWO)


def test_a_version_that_lacks_nothing_is_not_published_again(
    tmp_path: Path, release: Release, data: Path, capsys: pytest.CaptureFixture[str]
):
    store = Store(tmp_path / "store")
    release.publish(store, "strokes")
    assert complete(store, data) == 0
    without_data = tmp_path
    assert complete(store, without_data, "strokes@2") == 0
    assert "strokes@2 lacks nothing; nothing is published" in capsys.readouterr().out
    assert store.versions("strokes") == (1, 2)


def test_without_the_data_nothing_is_published_and_the_folder_is_named(
    tmp_path: Path, release: Release, capsys: pytest.CaptureFixture[str]
):
    store = Store(tmp_path / "store")
    release.publish(store, "strokes")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert complete(store, empty) == 2
    message = capsys.readouterr().err
    assert str(empty) in message
    assert "--data-dir" in message
    assert store.versions("strokes") == (1,)


def test_other_images_than_those_it_was_measured_on_are_refused(
    tmp_path: Path, release: Release, capsys: pytest.CaptureFixture[str]
):
    store = Store(tmp_path / "store")
    release.publish(store, "strokes")
    assert complete(store, write_data(tmp_path / "others", seed=5)) == 1
    message = capsys.readouterr().err
    assert "test images of MNIST are not those that strokes@1 was measured on: latents." in message
    assert "--data-dir" in message
    assert store.versions("strokes") == (1,)


def test_published_latents_that_differ_from_the_weights_are_found_by_evaluate(
    tmp_path: Path, release: Release, data: Path, capsys: pytest.CaptureFixture[str]
):
    assert release.encoded_images is not None
    levels = release.encoded_images.levels.copy()
    levels[3, 1] ^= 16
    changed = replace(release, encoded_images=replace(release.encoded_images, levels=levels))
    store = Store(tmp_path)
    for version in (release, changed):
        version.publish(store, "strokes")
    options = ("--store", str(tmp_path), "--data-dir", str(data), "--quick", "--threads", "1")
    assert call("evaluate", "strokes@1", *options) == 0
    assert call("evaluate", "strokes@2", *options) == 1
    assert "disagree on encoded_images[3,1]" in capsys.readouterr().out


def test_latents_of_the_classes_are_fitted_again_only_if_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    data = write_data(tmp_path, seed=0, classes=10, images=220)
    store = Store(tmp_path / "store")
    release_of(data).publish(store, "strokes")
    assert not store.load(ONE).class_latents
    assert complete(store, data, "strokes@1", "--classes") == 0
    assert "strokes@1 lacks directions, new classes" in capsys.readouterr().err
    two = store.load(TWO)
    assert len(two.class_latents) == 10
    assert two.class_latents.min_class_probability > 0
    assert "label_right" in two.manifest.metrics
    assert two.manifest.weights_sha256 == store.manifest(ONE).weights_sha256


def test_classes_without_enough_images_are_not_fitted(
    tmp_path: Path, release: Release, data: Path, capsys: pytest.CaptureFixture[str]
):
    store = Store(tmp_path)
    release.publish(store, "strokes")
    assert complete(store, data, "strokes@1", "--classes") == 2
    assert "strokes@1: its data set has no classes of enough images" in capsys.readouterr().err
    assert store.versions("strokes") == (1,)


def test_a_figure_is_left_out_of_the_files_and_of_the_card(
    tmp_path: Path, release: Release, data: Path
):
    store = Store(tmp_path)
    release.publish(store, "strokes")
    assert "traversal.png" in store.card(ONE)
    assert complete(store, data, "strokes@1", "--leave-out", "traversal") == 0
    assert "traversal" not in store.manifest(TWO).figures
    assert "traversal.png" not in store.card(TWO)
    lacks_nothing_else = "strokes@2"
    assert complete(store, data, lacks_nothing_else, "--leave-out", "samples") == 0
    assert "samples" not in store.manifest(ModelRef.parse("strokes@3")).figures
