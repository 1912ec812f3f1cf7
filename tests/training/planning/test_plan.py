import math

import pytest

from model_store.spec import Conv, ModelSpec, Residual
from training.config import Preset
from training.data.folder_survey import Survey
from training.errors import SettingError
from training.evaluation.level import EvaluationLevel
from training.fitting.memory import estimate_memory
from training.planning.network import decoding_mflop
from training.planning.plan import (
    MAX_STEPS,
    MIN_STEPS,
    Plan,
    Wishes,
    batch_size,
    draft,
    ema_decay,
    evaluation_level,
    passes_per_epoch,
    plan,
    target_steps,
)
from training.planning.reasons import choices

COUNTS = (2, 3, 10, 63, 270, 999, 2000, 4500, 60_000)
SIDES = (8, 20, 28, 32, 48, 64, 100, 128, 256)
FAST = 1e6
"""Images per second of a machine that no time limit bounds."""


def survey(
    train: int = 270, side: int = 48, *, colour: bool = True, extremes: float = 0.9
) -> Survey:
    test = max(1, train // 9)
    return Survey(train, test, side, side, colour=colour, extremes=extremes)


def planned(of: Survey, wishes: Wishes | None = None, images_per_s: float = FAST) -> Plan:
    wishes = wishes or Wishes()
    return plan(of, wishes, draft(of, wishes), images_per_s)


def steps(preset: Preset, images: int) -> int:
    optimiser = preset.optimiser
    shown = images * (optimiser.passes or 1)
    return optimiser.epochs * math.ceil(shown / optimiser.batch_size)


@pytest.mark.parametrize("train", COUNTS)
def test_a_training_has_thousands_of_steps_however_few_images_there_are(train: int):
    assert 0.9 * MIN_STEPS <= steps(planned(survey(train)).preset, train) <= 1.1 * MAX_STEPS


@pytest.mark.parametrize("train", COUNTS)
def test_the_average_of_the_weights_spans_at_most_a_tenth_of_the_steps(train: int):
    preset = planned(survey(train)).preset
    assert preset.optimiser.ema_decay is not None
    assert 1 / (1 - preset.optimiser.ema_decay) <= steps(preset, train) / 10


@pytest.mark.parametrize("count", [1, 30, 100, 1000, 20_000, 10**7])
def test_an_average_spans_a_part_of_any_number_of_steps_and_no_more_than_1000(count: int):
    horizon = 1 / (1 - ema_decay(count))
    assert 1.9 <= horizon <= min(1001, max(2.1, 0.051 * count))


@pytest.mark.parametrize("train", COUNTS)
def test_few_images_have_batches_of_a_part_of_them_and_epochs_of_many_steps(train: int):
    batch = batch_size(train)
    assert 2 <= batch <= max(2, train / 4)
    per_epoch = math.ceil(train * passes_per_epoch(train, batch) / batch)
    assert per_epoch >= 50
    assert passes_per_epoch(train, batch) == 1 or per_epoch <= 51 + train / batch


def test_steps_grow_with_the_images_until_time_or_their_number_bounds_them():
    by_images = [target_steps(n, 32, None, FAST) for n in (10, 270, 2000, 5000, 60_000)]
    assert by_images == sorted(by_images)
    assert (by_images[0], by_images[-1]) == (MIN_STEPS, MAX_STEPS)
    assert target_steps(5000, 32, None, images_per_s=32) == 30 * 60


@pytest.mark.parametrize("minutes", [0.5, 10, 120])
@pytest.mark.parametrize("images_per_s", [50, 400])
def test_a_time_that_the_user_gives_is_used_up_and_not_exceeded(
    minutes: float, images_per_s: float
):
    of = survey(2000, 64)
    preset = planned(of, Wishes(minutes=minutes), images_per_s).preset
    spent_s = steps(preset, of.train) * preset.optimiser.batch_size / images_per_s
    one_epoch_s = of.train / images_per_s
    assert abs(spent_s - 60 * minutes) <= one_epoch_s


def test_a_plan_takes_at_most_half_an_hour_by_default():
    of = survey(5000, 64)
    preset = planned(of, images_per_s=100).preset
    assert steps(preset, of.train) * preset.optimiser.batch_size / 100 <= 31 * 60


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("train", [270, 5000])
@pytest.mark.parametrize("size", [None, 64, 128, 256])
def test_an_image_is_decoded_by_at_most_120_mflop_up_to_128x128(
    side: int, train: int, size: int | None
):
    spec = draft(survey(train, side), Wishes(size=size)).model
    assert isinstance(spec.network, Conv | Residual)
    assert spec.network.sizes(spec.image.height)[-1] >= 4
    assert decoding_mflop(spec) <= (180 if spec.image.height > 128 else 120)


@pytest.mark.parametrize("side", SIDES)
def test_images_keep_their_size_up_to_64_pixels_and_are_never_enlarged(side: int):
    image = draft(survey(side=side), Wishes()).model.image
    assert image.height == image.width == min(side, 64)


@pytest.mark.parametrize(("width", "height"), [(300, 200), (200, 300), (640, 200), (90, 16)])
def test_images_that_are_far_from_square_keep_their_proportions(width: int, height: int):
    image = draft(Survey(500, 50, width, height), Wishes()).model.image
    assert image.width / image.height == pytest.approx(width / height, rel=0.15)
    assert max(image.width, image.height) == 64


@pytest.mark.parametrize(("width", "height"), [(300, 260), (64, 60)])
def test_nearly_square_images_are_cropped_to_a_square(width: int, height: int):
    image = draft(Survey(500, 50, width, height), Wishes()).model.image
    assert image.width == image.height


@pytest.mark.parametrize(
    ("colour", "extremes", "likelihood"),
    [
        (True, 1.0, "discretised_logistic"),
        (False, 0.2, "discretised_logistic"),
        (False, 0.9, "bernoulli"),
    ],
)
def test_only_drawings_in_black_and_white_get_bernoulli_pixels(
    colour: bool,
    extremes: float,
    likelihood: str,
):
    preset = draft(survey(colour=colour, extremes=extremes), Wishes())
    assert preset.model.likelihood == likelihood
    assert preset.model.image.channels == (3 if colour else 1)


def test_signs_in_black_and_white_are_not_mirrored():
    assert draft(survey(colour=False), Wishes()).objective.augment_probability == 0


def test_more_images_get_more_latents_and_a_stronger_prior():
    few, many = (draft(survey(train), Wishes()).model for train in (200, 20_000))
    assert few.latent < many.latent
    assert few.prior is not None
    assert many.prior is not None
    assert few.prior.couplings < many.prior.couplings


def test_keys_that_the_user_sets_are_kept():
    overrides: dict[str, object] = {
        "model.latent": 7,
        "optimiser.epochs": 3,
        "optimiser.batch_size": 5,
        "optimiser.ema_decay": 0.5,
        "optimiser.learning_rate": 0.01,
    }
    preset = planned(survey(), Wishes(overrides=overrides)).preset
    assert preset.model.latent == 7
    assert (
        preset.optimiser.model_dump()
        | {key.rpartition(".")[2]: value for key, value in overrides.items() if "optimiser" in key}
        == preset.optimiser.model_dump()
    )


def test_an_unknown_key_is_refused():
    with pytest.raises(SettingError, match=r"optimiser\.speed"):
        draft(survey(), Wishes(overrides={"optimiser.speed": 1}))


@pytest.mark.parametrize("size", [0, 7, 257])
def test_a_size_that_no_model_has_is_refused(size: int):
    with pytest.raises(SettingError, match="8 to 256"):
        draft(survey(), Wishes(size=size))


def test_little_memory_halves_the_batch_until_the_training_fits():
    of, wishes = survey(5000, 256), Wishes(size=256)
    free = draft(of, wishes)
    needed = estimate_memory(free, 5000).total
    tight = draft(of, wishes, available_bytes=needed - 1)
    assert tight.optimiser.batch_size < free.optimiser.batch_size
    assert draft(of, wishes, available_bytes=1).optimiser.batch_size == 1
    asked = Wishes(size=256, overrides={"optimiser.batch_size": 24})
    assert draft(of, asked, available_bytes=1).optimiser.batch_size == 24


def test_the_likelihood_is_measured_if_that_takes_a_part_of_the_training_only():
    assert evaluation_level(30, images_per_s=400, train_s=240) is EvaluationLevel.FULL
    assert evaluation_level(500, images_per_s=100, train_s=1800) is EvaluationLevel.BOUND


def test_good_conditions_need_no_advice():
    assert planned(survey(2000)).advice == ()


@pytest.mark.parametrize(
    ("of", "images_per_s", "words"),
    [
        (survey(3), FAST, ["3 training images", "hundreds"]),
        (survey(5000, 64), 10, ["few for a usable model", "--minutes", "--size"]),
        (
            Survey(270, 30, 48, 48, classes=(("cats", 269), ("dogs", 1))),
            FAST,
            ["label=", "dogs (1)", "merge"],
        ),
    ],
)
def test_advice_names_the_fault_and_the_remedy(of: Survey, images_per_s: float, words: list[str]):
    (line,) = planned(of, images_per_s=images_per_s).advice
    assert all(word in line for word in words)


def test_the_advised_minutes_are_enough():
    of = survey(5000, 64)
    (line,) = planned(of, images_per_s=10).advice
    minutes = float(line.partition("--minutes ")[2].split()[0])
    assert planned(of, Wishes(minutes=minutes), images_per_s=10).advice == ()


def test_every_choice_has_a_reason():
    of, wishes = survey(), Wishes()
    lines = choices(of, wishes, planned(of, wishes))
    assert all(line.value and line.reason for line in lines)
    assert {"size", "network", "latents", "training", "averaging"} <= {line.name for line in lines}


def test_a_spec_without_a_network_of_convolutions_can_be_described():
    overrides: dict[str, object] = {"model.network": {"kind": "mlp"}, "model.prior": None}
    of = survey()
    base = draft(of, Wishes())
    spec = ModelSpec.model_validate({**base.model.model_dump(), "network": {"kind": "mlp"}})
    preset = base.model_copy(update={"model": spec})
    wishes = Wishes(overrides=overrides)
    assert choices(of, wishes, plan(of, Wishes(), preset, FAST))


@pytest.mark.parametrize(("images_per_s", "shown"), [(0.31, "0.3"), (9.9, "9.9"), (212.4, "212")])
def test_the_speed_of_a_slow_machine_is_not_shown_as_none(images_per_s: float, shown: str):
    of, wishes = survey(), Wishes()
    lines = choices(of, wishes, planned(of, wishes, images_per_s))
    (time,) = [line for line in lines if line.name == "time"]
    assert time.reason.startswith(f"{shown} images/s")
