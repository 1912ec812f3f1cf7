import math

import pytest
from pydantic import ValidationError

from training.config import Objective, Optimiser
from training.fitting.schedule import beta_at, cosine_after_warmup, learning_rate_at


def test_beta_grows_linearly_from_zero_and_is_constant_after_the_annealing():
    objective = Objective(beta=4.0, annealing_epochs=10)
    assert [beta_at(objective, epochs) for epochs in (0, 2.5, 5, 10, 99)] == [0, 1, 2, 4, 4]


def test_without_annealing_beta_is_the_same_from_the_first_step():
    assert beta_at(Objective(beta=4.0), 0.0) == 4.0


def test_a_constant_learning_rate_does_not_change():
    assert {learning_rate_at(Optimiser(learning_rate=0.1), e / 7) for e in range(70)} == {0.1}


def test_a_cosine_schedule_starts_at_the_rate_and_ends_at_zero():
    optimiser = Optimiser(learning_rate=0.1, schedule="cosine", epochs=8)
    rates = [learning_rate_at(optimiser, epochs) for epochs in (0, 2, 4, 8)]
    assert rates == pytest.approx([0.1, 0.1 * (1 + math.sqrt(0.5)) / 2, 0.05, 0.0])


def test_after_its_warmup_a_rate_falls_along_half_a_cosine():
    shares = [cosine_after_warmup(step, 4, 16) for step in (0, 2, 4, 8, 16)]
    quarter, eighth = math.cos(math.pi / 4), math.cos(math.pi / 8)
    assert shares == pytest.approx([0, (1 + eighth) / 4, (1 + quarter) / 2, 0.5, 0])


def test_steps_multiply_the_rate_at_each_milestone():
    optimiser = Optimiser(learning_rate=1.0, schedule="step", step_epochs=(2, 5), step_factor=0.5)
    rates = [learning_rate_at(optimiser, epochs) for epochs in (0, 1.9, 2, 4.9, 5, 100)]
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_a_warm_up_multiplies_the_schedule_by_a_linear_ramp():
    optimiser = Optimiser(learning_rate=0.1, schedule="cosine", warmup_epochs=2, epochs=8)
    plain = optimiser.model_copy(update={"warmup_epochs": 0})
    assert learning_rate_at(optimiser, 0) == 0
    assert learning_rate_at(optimiser, 1) == pytest.approx(learning_rate_at(plain, 1) / 2)
    assert learning_rate_at(optimiser, 3) == learning_rate_at(plain, 3)


@pytest.mark.parametrize(
    "settings",
    [{"weight_decay": 0.1}, {"schedule": "step"}, {"step_epochs": (3,)}, {"ema_decay": 1.0}],
)
def test_settings_without_an_effect_are_refused(settings: dict[str, object]):
    with pytest.raises(ValidationError):
        Optimiser.model_validate(settings)
