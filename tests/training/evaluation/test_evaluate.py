import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from model_store.spec import Flow, ModelSpec
from model_store.vae import VAE, kl_to_standard_normal
from tests.training.conftest import strokes
from training.classifier.model import Judge
from training.config import Objective
from training.data.images import Images, Splits
from training.evaluation.class_mixtures import latents_of_class
from training.evaluation.evaluate import Evaluation
from training.evaluation.evaluate import evaluate as measure
from training.evaluation.level import EvaluationLevel
from training.fitting.trainer import initialise, mean_bound

STROKES = ("no", "yes")


def labelled_strokes(images: int, seed: int) -> Images:
    pixels = torch.from_numpy(strokes(images, seed)).unsqueeze(1)
    return Images(pixels, (torch.arange(images) * 7) % 2)


def evaluate(vae: VAE, images: Images) -> Evaluation:
    """Measure at the level `bound`, without labels."""
    return measure(vae, Splits("strokes", images, images), EvaluationLevel.BOUND)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return Splits("strokes", labelled_strokes(120, 1), labelled_strokes(64, 2), STROKES)


@pytest.fixture
def judge() -> Judge:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Judge(classes=2, width=4).eval()


def test_an_encoder_that_answers_with_the_prior_has_no_kl_and_standard_latents(
    vae: VAE, images: Images
):
    for head in (vae.to_mu, vae.to_logvar):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    evaluation = evaluate(vae, images)
    assert evaluation.metrics["test_kl"].value == 0.0
    assert evaluation.latents.kl_nats == (0.0, 0.0, 0.0)
    assert evaluation.latents.mean == (0.0, 0.0, 0.0)
    assert evaluation.latents.std == (1.0, 1.0, 1.0)


def test_a_decoder_with_zero_weights_costs_one_bit_per_pixel(vae: VAE, images: Images):
    for weight in vae.decoder.parameters():
        torch.nn.init.zeros_(weight)
    metrics = evaluate(vae, images).metrics
    assert metrics["test_reconstruction"].value == pytest.approx(784 * math.log(2))


def test_reconstruction_and_kl_add_up_to_the_negative_elbo(vae: VAE, images: Images):
    evaluation = evaluate(vae, images)
    metrics = {name: metric.value for name, metric in evaluation.metrics.items()}
    assert metrics["test_negative_elbo"] == pytest.approx(
        metrics["test_reconstruction"] + metrics["test_kl"]
    )
    assert sum(evaluation.latents.kl_nats) == pytest.approx(metrics["test_kl"])
    with torch.no_grad():
        kl = kl_to_standard_normal(*vae.encode(images.batch(torch.arange(64)))).mean()
    assert metrics["test_kl"] == pytest.approx(kl.item(), rel=1e-5)


def test_the_training_loss_estimates_the_published_negative_elbo(vae: VAE, images: Images):
    published = evaluate(vae, images).metrics["test_negative_elbo"].value
    averages = mean_bound(vae, images, Objective(), torch.Generator().manual_seed(5))
    assert averages.loss == pytest.approx(published, abs=1.0)


def test_the_statistics_of_the_aggregate_posterior_are_those_of_samples_from_it(
    vae: VAE, images: Images
):
    latents = evaluate(vae, images).latents
    with torch.no_grad():
        mu, logvar = vae.encode(images.batch(torch.arange(64)))
    eps = torch.randn((5000, *mu.shape), generator=torch.Generator().manual_seed(0))
    z = (mu + torch.exp(0.5 * logvar) * eps).flatten(end_dim=1)
    torch.testing.assert_close(torch.tensor(latents.mean), z.mean(dim=0), atol=0.01, rtol=0)
    torch.testing.assert_close(torch.tensor(latents.std), z.std(dim=0), atol=0.01, rtol=0)


def test_evaluating_twice_gives_the_same_numbers(vae: VAE, images: Images):
    one, again = evaluate(vae, images), evaluate(vae, images)
    assert one.encoded_images is not None
    assert again.encoded_images is not None
    assert np.array_equal(one.encoded_images.levels, again.encoded_images.levels)
    assert np.array_equal(one.encoded_images.scale, again.encoded_images.scale)
    assert replace(one, encoded_images=None) == replace(again, encoded_images=None)


def test_every_number_says_how_it_was_measured_and_how_far_it_may_differ(
    vae: VAE, splits: Splits, judge: Judge
):
    for name, metric in measure(vae, splits, judge=judge).metrics.items():
        assert metric.tolerance is not None, name
        assert metric.unit, name
        of_other_images = name.startswith("ood_atypical")
        others = {"quick_sure_share", "test_nll_std", "test_nll_effective_samples"}
        if name not in others and not of_other_images:
            assert "test images" in metric.protocol, name


def test_each_level_measures_the_same_numbers_as_the_one_before_and_more(
    vae: VAE, splits: Splits, judge: Judge
):
    quick, bound, full = (
        measure(vae, splits, extent, judge=judge) for extent in list(EvaluationLevel)[:3]
    )
    assert quick.metrics.items() < bound.metrics.items() < full.metrics.items()
    assert quick.latents == bound.latents == full.latents
    assert not quick.class_latents
    assert len(full.class_latents) == 2


def test_without_labels_no_class_metrics_are_measured(vae: VAE, splits: Splits):
    bare = Splits("strokes", Images(splits.train.pixels), Images(splits.test.pixels))
    evaluation = measure(vae, bare)
    assert not evaluation.class_latents
    assert "linear_probe_accuracy" not in evaluation.metrics
    assert "test_nll" in evaluation.metrics


def test_if_a_class_has_no_images_no_mixtures_are_fitted(vae: VAE, splits: Splits):
    assert not measure(
        vae, replace(splits, classes=(*STROKES, "maybe")), EvaluationLevel.BOUND
    ).class_latents


def test_the_nll_of_binary_images_is_below_their_negative_elbo(vae: VAE, splits: Splits):
    binary = Images((splits.test.pixels > 127).to(torch.uint8) * 255, splits.test.labels)
    metrics = measure(vae, replace(splits, test=binary)).metrics
    assert metrics["test_nll"].value < metrics["test_negative_elbo"].value
    assert metrics["test_nll_std"].value < 0.5
    assert 1 <= metrics["test_nll_effective_samples"].value <= 128


def test_the_metrics_of_the_judge_are_shares_and_real_images_score_better_than_samples(
    vae: VAE, splits: Splits, judge: Judge
):
    metrics = measure(vae, splits, judge=judge).metrics
    assert {"real_recall", "samples_recall", "midpoints_recall", "label_right"} <= metrics.keys()
    assert {f"label_recall[{name}]" for name in STROKES} <= metrics.keys()
    for name, metric in metrics.items():
        if metric.unit == "share":
            assert 0 <= metric.value <= 1, name
    for name in ("samples", "midpoints", "real"):
        assert {f"{name}_density", f"{name}_coverage"} <= metrics.keys()
    assert metrics["real_frechet_distance"].value < metrics["samples_frechet_distance"].value


def test_a_mean_over_classes_is_weighted_by_their_images(vae: VAE, splits: Splits, judge: Judge):
    metrics = measure(vae, splits, judge=judge).metrics
    shares = [metrics[f"label_right[{name}]"].value for name in STROKES]
    assert metrics["label_right"].value == pytest.approx(sum(shares) / 2)


def test_the_classes_of_samples_add_up_to_the_numbers_of_all_samples(
    vae: VAE, splits: Splits, judge: Judge
):
    metrics = {k: m.value for k, m in measure(vae, splits, judge=judge).metrics.items()}
    assert splits.test.labels is not None
    counts = torch.bincount(splits.test.labels).tolist()
    for name in ("samples_recall", "samples_coverage"):
        total = sum(n * metrics[f"{name}[{c}]"] for n, c in zip(counts, STROKES, strict=True))
        assert total / sum(counts) == pytest.approx(metrics[name])
    made, real = (
        [metrics[f"{name}[{c}]"] for c in STROKES] for name in ("samples_share", "test_share")
    )
    assert sum(made) == pytest.approx(1)
    assert sum(real) == pytest.approx(1)
    distance = 0.5 * sum(abs(a - b) for a, b in zip(made, real, strict=True))
    assert metrics["samples_class_distance"] == pytest.approx(distance)


def test_samples_of_unlabelled_images_are_compared_without_classes(
    vae: VAE, splits: Splits, judge: Judge
):
    bare = Splits("strokes", Images(splits.train.pixels), Images(splits.test.pixels))
    metrics = measure(vae, bare, judge=judge).metrics
    assert {"samples_density", "samples_coverage"} <= metrics.keys()
    assert not [name for name in metrics if "[" in name and not name.startswith("ood_")]


def test_midpoints_of_neighbours_are_images_of_the_model_if_all_latents_are_equal(
    vae: VAE, splits: Splits, judge: Judge
):
    torch.nn.init.zeros_(vae.to_mu.weight)
    torch.nn.init.zeros_(vae.to_mu.bias)
    metrics = measure(vae, splits, judge=judge).metrics
    for name in ("relative_sure_share", "frechet_distance"):  # the midpoint is mu itself
        near, far = metrics[f"neighbour_midpoints_{name}"], metrics[f"midpoints_{name}"]
        assert near.value == pytest.approx(far.value, abs=1e-6)


def test_an_identity_flow_changes_only_the_kl_which_becomes_an_estimate(
    spec: ModelSpec, images: Images
):
    plain = initialise(spec, seed=0)
    flowing = initialise(spec.model_copy(update={"prior": Flow(couplings=2, hidden=4)}), seed=0)
    flowing.load_state_dict(plain.state_dict(), strict=False)
    without, within = evaluate(plain, images).metrics, evaluate(flowing, images).metrics
    assert within.keys() == without.keys()
    for name in ("test_reconstruction", "quick_nll", "active_units"):
        assert within[name].value == pytest.approx(without[name].value, rel=1e-5)
    assert within["test_kl"].value == pytest.approx(without["test_kl"].value, abs=0.3)
    assert "flow" in within["test_kl"].protocol


def test_under_a_flow_classes_are_fitted_where_q_is_a_gaussian(spec: ModelSpec, splits: Splits):
    plain = initialise(spec, seed=0)
    flowing = initialise(spec.model_copy(update={"prior": Flow(couplings=2, hidden=4)}), seed=0)
    flowing.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        for weight in flowing.flow.parameters():  # type: ignore[union-attr]
            weight.copy_(torch.linspace(-0.5, 0.5, weight.numel()).view_as(weight))
    without, within = (
        measure(vae, splits, EvaluationLevel.BOUND).class_latents for vae in (plain, flowing)
    )
    assert (without.before_flow, within.before_flow) == (False, True)
    for one, other in zip(without, within, strict=True):
        assert other.means == pytest.approx(one.means)
    u = latents_of_class(flowing, within, 0, 8, torch.Generator().manual_seed(0))
    z = latents_of_class(plain, without, 0, 8, torch.Generator().manual_seed(0))
    torch.testing.assert_close(flowing.decode(u), plain.decode(z), atol=1e-4, rtol=0)


def test_probes_use_mu_in_the_space_of_the_class_mixtures(spec: ModelSpec, splits: Splits):
    flowing = initialise(spec.model_copy(update={"prior": Flow(couplings=2, hidden=4)}), seed=0)
    new = measure(flowing, splits)
    old = measure(flowing, splits, class_latents=replace(new.class_latents, before_flow=False))
    protocols = [e.metrics["knn_accuracy"].protocol for e in (new, old)]
    assert ["of q(z | x)" in protocol for protocol in protocols] == [True, False]


def test_five_thousand_draws_give_an_nll_no_higher_than_128_draws(vae: VAE):
    splits = Splits("strokes", labelled_strokes(40, 1), labelled_strokes(3, 2))
    metrics = measure(vae, splits, EvaluationLevel.EXHAUSTIVE).metrics
    many, few = metrics["test_nll_by_many_draws"], metrics["test_nll_of_the_same"]
    assert "L = 5000" in many.protocol
    assert "L = 128" in few.protocol
    assert many.value <= few.value + 0.05


def test_a_level_includes_the_levels_before_it():
    assert [extent.includes(EvaluationLevel.FULL) for extent in EvaluationLevel] == [
        False,
        False,
        True,
        True,
    ]
