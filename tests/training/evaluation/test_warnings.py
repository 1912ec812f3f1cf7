from dataclasses import replace

import pytest
import torch

from model_store.spec import MLP, Metric, ModelSpec, TrainingRecord
from model_store.vae import VAE
from tests.training.conftest import bars
from training.config import Data, Objective, Optimiser, Preset
from training.data.images import Images, Splits
from training.evaluation.evaluate import evaluate, variance_explained
from training.evaluation.level import EvaluationLevel
from training.evaluation.warnings import Training, find_warnings, training_of
from training.fitting.trainer import Trainer, initialise

GOOD = {"variance_explained": 0.9, "active_units": 12.0, "knn_accuracy": 0.95}
RUN = Training(images=2000, steps=5000, ema_decay=0.995, largest_class=0.5, test_images=200)


def warnings(training: Training = RUN, latent: int = 16, **values: float) -> tuple[str, ...]:
    metrics = {
        name: Metric(value=value, unit="", protocol="")
        for name, value in {**GOOD, **values}.items()
    }
    return find_warnings(metrics, latent, training)


def test_a_good_result_has_no_warnings():
    assert warnings() == ()


def test_all_latents_active_is_no_fault_by_itself():
    assert warnings(active_units=16) == ()


def test_the_exact_network_may_be_a_little_worse_than_the_trained_one():
    assert warnings(test_negative_elbo=80.4, float_test_negative_elbo=80.0) == ()


def test_a_version_that_measured_little_and_a_run_that_is_not_known_have_no_warnings():
    assert find_warnings({}, 16, Training(images=1000)) == ()


def test_few_steps_are_no_fault_of_a_training_that_goes_on_from_a_version():
    assert warnings(Training(images=500, steps=300, continued=True)) == ()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"variance_explained": 0.05}, ["no better than the mean image", "5%", "steps"]),
        ({"variance_explained": -3.0}, ["no better than the mean image", "0%"]),
        ({"active_units": 0}, ["collapsed", "free_bits", "beta"]),
        ({"knn_accuracy": 0.52}, ["classes apart", "52%", "50%", "by chance"]),
        (
            {"active_units": 16, "variance_explained": 0.3, "knn_accuracy": 0.5},
            ["noise", "all 16", "50%", "model.latent=4"],
        ),
        ({"active_units": 16, "knn_accuracy": 0.5}, ["classes apart", "50%"]),
        ({"active_units": 16, "variance_explained": 0.3}, ["noise", "30%"]),
        (
            {"test_negative_elbo": 10_605.7, "float_test_negative_elbo": 8572.4},
            ["exact network", "10,605.7", "8,572.4", "arithmetic=float"],
        ),
    ],
)
def test_a_bad_result_is_named_with_its_number_and_a_remedy(
    values: dict[str, float], words: list[str]
):
    (line,) = warnings(RUN, 16, **values)
    assert all(word in line for word in words), line


@pytest.mark.parametrize(("accuracy", "warned"), [(0.56, True), (0.58, False)])
def test_chance_is_the_largest_class_and_two_standard_errors(accuracy: float, *, warned: bool):
    assert bool(warnings(knn_accuracy=accuracy)) is warned  # sqrt(0.5 * 0.5 / 200) = 0.035


def test_few_test_images_tell_nothing_about_classes_unless_the_images_are_blurred():
    few = replace(RUN, test_images=30)
    assert warnings(few, active_units=16, knn_accuracy=0.6) == ()
    (line,) = warnings(few, active_units=16, knn_accuracy=0.6, variance_explained=0.3)
    assert "60%" in line


def test_the_better_of_two_classifiers_counts():
    assert warnings(knn_accuracy=0.5, linear_probe_accuracy=0.9) == ()


@pytest.mark.parametrize(
    ("training", "words"),
    [
        (Training(images=3, steps=3000), ["only 3 training images", "hundreds"]),
        (Training(images=500, steps=300), ["only 300 steps", "--epochs 10 times"]),
        (
            Training(images=500, steps=1200, ema_decay=0.999),
            ["1,000 steps", "1,200", "optimiser.ema_decay=0.983"],
        ),
        (
            Training(images=500, class_images={"cat": 400, "dog": 1, "emu": 19}),
            ["label=", "dog (1), emu (19)", "merge"],
        ),
    ],
)
def test_a_run_that_cannot_give_a_good_model_is_named(training: Training, words: list[str]):
    (line,) = warnings(training)
    assert all(word in line for word in words), line


def test_the_record_of_a_run_tells_its_steps():
    preset = Preset(
        summary="",
        data=Data(dataset="folder"),
        model=ModelSpec(network=MLP(), latent=2),
        optimiser=Optimiser(batch_size=16, passes=3, ema_decay=0.9),
    )
    record = TrainingRecord(
        preset="x", dataset="x", seed=0, epochs=7, settings=preset.model_dump(mode="json")
    )
    labels = torch.tensor([0, 0, 0, 1])
    test = Images(torch.zeros(4, 1, 28, 28, dtype=torch.uint8), labels)
    training = training_of(record, Splits("x", bars(50), test, ("a", "b")))
    assert (training.images, training.steps, training.ema_decay) == (50, 7 * 10, 0.9)
    assert training.largest_class == 0.75
    assert training.class_images is not None
    assert sum(training.class_images.values()) == 50


def trained(epochs: int, latent: int = 16) -> tuple[VAE, Splits]:
    splits = Splits("bars", bars(128), bars(64, seed=1), ("tall", "wide"))
    vae = initialise(ModelSpec(network=MLP(hidden=(64,)), latent=latent), 0)
    optimiser = Optimiser(batch_size=32, epochs=epochs, learning_rate=3e-3)
    for _ in Trainer(vae, Objective(), optimiser, 0).fit(splits.train, splits.test):
        pass
    return vae, splits


def test_reconstructions_of_a_trained_network_explain_more_than_those_of_an_untrained_one():
    (untrained, splits), (vae, _) = trained(1), trained(40)
    before, after = (
        variance_explained(v.eval(), splits.train, splits.test) for v in (untrained, vae)
    )
    assert before < 0.1
    assert 0.5 < after <= 1


def test_a_decoder_that_gives_the_mean_image_explains_nothing():
    vae, splits = trained(1)
    mean = splits.train.batch(torch.arange(128)).mean(dim=0)
    last = [m for m in vae.decoder.modules() if isinstance(m, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(mean.clamp(1e-6, 1 - 1e-6).logit().flatten())
    assert variance_explained(vae.eval(), splits.train, splits.test) == pytest.approx(0, abs=1e-4)


def test_four_steps_of_training_are_warned_about_and_many_are_not():
    for epochs, expected in ((1, True), (60, False)):
        vae, splits = trained(epochs, latent=6)
        metrics = evaluate(vae, splits, EvaluationLevel.BOUND).metrics
        run = Training(images=128, largest_class=0.6, test_images=64)
        assert bool(find_warnings(metrics, 6, run)) is expected
