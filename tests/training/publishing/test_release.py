from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn

from model_store.spec import (
    Arithmetic,
    EpochRecord,
    Manifest,
    Metric,
    ModelRef,
    ModelSpec,
    TrainingRecord,
)
from model_store.store import Store
from model_store.vae import VAE, build_vae
from model_store.vae.exact import ExactVAE
from tests.training.conftest import strokes
from training.config import load_preset
from training.data.images import Images, Splits
from training.errors import SettingError
from training.evaluation.level import EvaluationLevel
from training.evaluation.likelihood import bound_metrics
from training.evaluation.served import served_vae
from training.fitting.trainer import initialise
from training.publishing import provenance
from training.publishing.options import Figures, ReleaseOptions, Storage
from training.publishing.release import prepare_release

REF = ModelRef.parse("strokes@1")


@pytest.fixture(scope="module")
def splits() -> Splits:
    train, test = (torch.from_numpy(strokes(n, seed=n)).unsqueeze(1) for n in (120, 64))
    labels = [(torch.arange(len(pixels)) * 7) % 2 for pixels in (train, test)]
    return Splits("strokes", Images(train, labels[0]), Images(test, labels[1]), ("no", "yes|no"))


@pytest.fixture(scope="module")
def record() -> TrainingRecord:
    averages = {
        f"{s}_{p}": 1.0 for s in ("train", "test") for p in ("loss", "reconstruction", "kl")
    }
    return TrainingRecord(
        preset="lab",
        dataset="strokes",
        seed=7,
        epochs=1,
        settings=load_preset("lab").model_dump(mode="json"),
        libraries=provenance.libraries(),
        source_commit="0123abc",
        history=(EpochRecord(epoch=1, **averages),),
    )


def released(
    root: Path, vae: VAE, splits: Splits, record: TrainingRecord, plan: ReleaseOptions
) -> Manifest:
    return prepare_release(vae, splits, record, plan).publish(Store(root), "strokes")


def test_a_release_verifies_and_contains_its_metrics_and_classes(
    tmp_path: Path, vae: VAE, splits: Splits, record: TrainingRecord
):
    version = prepare_release(vae, splits, record, ReleaseOptions())
    manifest = version.publish(Store(tmp_path), "strokes")
    assert Store(tmp_path).verify(REF) == manifest
    assert manifest.metrics == version.description.metrics
    assert manifest.training == record
    assert manifest.classes == ("no", "yes|no")
    assert manifest.labelled
    assert len(Store(tmp_path).load(REF).class_latents) == 2


@pytest.mark.parametrize("arithmetic", ["exact-1", "float"])
def test_a_release_of_any_level_has_a_typicality_table(
    tmp_path: Path, vae: VAE, splits: Splits, record: TrainingRecord, arithmetic: Arithmetic
):
    options = ReleaseOptions(EvaluationLevel.QUICK, arithmetic=arithmetic)
    released(tmp_path, vae, splits, record, options)
    table = Store(tmp_path).load(REF).typicality
    assert table is not None
    assert table.images == len(splits.test)


def test_an_exact_release_can_compress_images_and_a_float_one_cannot(
    tmp_path: Path, vae: VAE, splits: Splits, record: TrainingRecord
):
    for arithmetic in ("exact-1", "float"):
        options = ReleaseOptions(EvaluationLevel.BOUND, arithmetic=arithmetic)
        released(tmp_path, vae, splits, record, options)
    exact, plain = (Store(tmp_path).load(ModelRef.parse(f"strokes@{n}")) for n in (1, 2))
    assert exact.network is not None
    assert exact.pixels is not None
    assert plain.pixels is None


def test_the_card_states_metrics_and_protocols_and_links_the_figures(
    tmp_path: Path, vae: VAE, splits: Splits, record: TrainingRecord
):
    manifest = released(tmp_path, vae, splits, record, ReleaseOptions())
    card = Store(tmp_path).card(REF)
    assert card.startswith("# strokes@1\n")
    for words in (
        "64 test images of strokes",
        "evaluate strokes@1",
        "![samples](samples.png)",
        "seed 7",
        "0123abc",
        "784 times as large",
        "does not detect nonsense",
        "A VAE predicts no labels",
        "| 0 " if "0" in (manifest.classes or ()) else "| no |",
    ):
        assert words in card, words
    numbers = [line for line in card.splitlines() if line.startswith("| test_")]
    assert {row.replace(r"\|", "").count("|") for row in numbers} == {5}, "an inner | is escaped"


def test_a_release_with_model_figures_only_shows_no_image_of_the_data_set(
    tmp_path: Path, vae: VAE, splits: Splits, record: TrainingRecord
):
    shown = released(tmp_path, vae, splits, record, ReleaseOptions(EvaluationLevel.BOUND)).figures
    shipped = released(
        tmp_path, vae, splits, record, ReleaseOptions(EvaluationLevel.BOUND, figures=Figures.MODEL)
    ).figures
    assert set(shown) - set(shipped) == {"interpolations", "reconstructions"}
    assert set(shipped) == {"classes", "loss", "samples", "seed_interpolations", "traversal"}


def test_a_model_with_two_latents_gets_a_manifold_and_a_scatter_plot(
    tmp_path: Path, spec: ModelSpec, splits: Splits, record: TrainingRecord
):
    vae = initialise(spec.model_copy(update={"latent": 2}), seed=0)
    manifest = released(tmp_path, vae, splits, record, ReleaseOptions(EvaluationLevel.QUICK))
    assert {"manifold", "latents"} <= set(manifest.figures)


def test_float16_halves_the_file_and_the_rounded_weights_are_measured(
    tmp_path: Path, vae: VAE, splits: Splits, record: TrainingRecord
):
    plans = [ReleaseOptions(EvaluationLevel.BOUND, storage) for storage in Storage]
    whole, half = (released(tmp_path, vae, splits, record, plan) for plan in plans)
    size, halved = (m.files["weights.safetensors"].size_bytes for m in (whole, half))
    assert halved < 0.6 * size
    rounded = build_vae(half.spec, Store(tmp_path).float_weights(half.ref))
    again = prepare_release(
        rounded, splits, record, ReleaseOptions(EvaluationLevel.BOUND)
    ).description.metrics
    assert again == half.metrics
    assert half.metrics["test_kl"].value == pytest.approx(whole.metrics["test_kl"].value, abs=0.01)


def test_a_release_is_exact_and_states_a_few_numbers_of_its_float_weights(
    tmp_path: Path, vae: VAE, splits: Splits, record: TrainingRecord
):
    exact = released(tmp_path, vae, splits, record, ReleaseOptions())
    plain = released(tmp_path, vae, splits, record, ReleaseOptions(arithmetic="float"))
    assert (exact.arithmetic, plain.arithmetic) == ("exact-1", "float")
    beside = {name for name in exact.metrics if name.startswith("float_")}
    assert beside == {"float_test_negative_elbo", "float_test_nll"} | {
        name for name in beside if name.startswith("float_samples_")
    }
    for name in beside:
        in_float = plain.metrics[name.removeprefix("float_")]
        assert exact.metrics[name].value == in_float.value
        assert exact.metrics[name].protocol.endswith(in_float.protocol)
    assert exact.metrics.keys() - beside == plain.metrics.keys()
    assert exact.metrics["test_negative_elbo"].value == pytest.approx(
        plain.metrics["test_negative_elbo"].value, abs=0.2
    )
    assert "### Arithmetic: exact-1" in Store(tmp_path).card(exact.ref)
    assert "Arithmetic" not in Store(tmp_path).card(plain.ref)


def test_the_numbers_of_an_exact_release_are_those_of_the_stored_network(
    tmp_path: Path, vae: VAE, splits: Splits, record: TrainingRecord
):
    manifest = released(tmp_path, vae, splits, record, ReleaseOptions())
    served = served_vae(Store(tmp_path).load(REF))
    assert isinstance(served, ExactVAE)
    nats = bound_metrics(served, splits)["test_negative_elbo"]
    assert nats == manifest.metrics["test_negative_elbo"]


def test_float_weights_can_be_left_out_of_an_exact_release(
    tmp_path: Path, vae: VAE, splits: Splits, record: TrainingRecord
):
    options = ReleaseOptions(EvaluationLevel.QUICK, float_weights=False)
    manifest = released(tmp_path, vae, splits, record, options)
    assert "weights.safetensors" not in manifest.files
    assert Store(tmp_path).verify(REF) == manifest


def test_known_float_numbers_are_stated_instead_of_being_measured_again(
    vae: VAE, splits: Splits, record: TrainingRecord
):
    known = {"float_test_negative_elbo": Metric(value=1.5, unit="nats", protocol="known")}
    options = ReleaseOptions(EvaluationLevel.BOUND)
    release = prepare_release(vae, splits, record, options, float_numbers=known)
    assert release.description.metrics["float_test_negative_elbo"].value == 1.5


def test_a_network_without_an_exact_form_is_published_in_float_with_a_message(
    tmp_path: Path, vae: VAE, splits: Splits, record: TrainingRecord
):
    cast(nn.Sequential, vae.decoder).append(nn.Tanh())
    messages: list[str] = []
    options = ReleaseOptions(EvaluationLevel.QUICK)
    release = prepare_release(vae, splits, record, options, report=messages.append)
    manifest = release.publish(Store(tmp_path), "strokes")
    assert manifest.arithmetic == "float"
    assert not any(name.startswith("float_") for name in manifest.metrics)
    assert any("no exact form: Tanh" in message for message in messages)


def test_float16_is_refused_if_rounding_costs_too_much(
    vae: VAE, splits: Splits, record: TrainingRecord
):
    with torch.no_grad():
        vae.to_mu.weight[0] += 300  # float16 values are 0.25 apart here
        vae.to_mu.bias[0] -= 300.1
    with pytest.raises(SettingError, match="use --storage float32"):
        prepare_release(vae, splits, record, ReleaseOptions(EvaluationLevel.QUICK, Storage.FLOAT16))
