from collections.abc import Callable, Mapping

import pytest
import torch

from model_store.spec import Conv, ModelSpec
from model_store.vae import VAE
from training.config import Compute, Data, Objective, Optimiser, Preset
from training.data.images import Images
from training.devices import Threads
from training.fitting.compute_choice import (
    MIN_STEPS,
    ComputeChoice,
    Plan,
    StepTimer,
    choose_compute,
    choose_plan,
)
from training.fitting.trainer import initialise

AUTO = Compute(bf16="auto", matmul="auto", channels_last="auto")
ONE = Threads(1, 1, as_set=False)


def choose(
    time: Callable[[Plan], float | None],
    *,
    compute: Compute = AUTO,
    threads: Threads = ONE,
    bf16: bool = True,
) -> ComputeChoice:
    """Choose on a machine on which a step by each plan takes the time that `time` returns."""

    def compare(plain: Plan, other: Plan) -> float | None:
        times = time(plain), time(other)
        return None if times[0] is None or times[1] is None else times[0] / times[1]

    return choose_plan(
        compute, compare, threads=threads, bf16=bf16, matmul="medium", convolutions=True
    )


def faster(**gains: float) -> Callable[[Plan], float]:
    """Return step times of a machine on which each setting is faster by a factor."""

    def time(plan: Plan) -> float:
        seconds = 1.0
        for name, gain in gains.items():
            seconds /= gain if getattr(plan, name) not in {False, "highest"} else 1
        return seconds

    return time


def test_bfloat16_is_chosen_if_it_is_faster():
    choice = choose(faster(bf16=1.8))
    assert choice.compute == Compute(bf16=True)
    assert "bfloat16 (1.8 times as fast)" in choice.reasons


def test_bfloat16_is_not_chosen_if_it_is_ten_times_slower():
    choice = choose(faster(bf16=0.08))
    assert choice.compute == Compute()
    assert "no bfloat16 (0.08 times as fast)" in choice.reasons


def test_bfloat16_is_not_even_tried_without_instructions_for_it():
    tried: list[Plan] = []

    def time(plan: Plan) -> float:
        tried.append(plan)
        return 1.0

    choice = choose(time, bf16=False)
    assert choice.compute == Compute()
    assert "no bfloat16 instructions" in choice.reasons
    assert not any(plan.bf16 for plan in tried)


def test_layout_and_matrix_products_are_chosen_if_they_are_clearly_faster():
    choice = choose(faster(channels_last=1.4, matmul=1.5), bf16=False)
    assert choice.compute == Compute(channels_last=True, matmul="medium")
    assert choose(faster(channels_last=1.05, matmul=1.05), bf16=False).compute == Compute()


@pytest.mark.parametrize(
    "compute",
    [Compute(), Compute(bf16=True), Compute(matmul="medium", channels_last=True, compile=True)],
    ids=str,
)
def test_what_the_user_sets_is_not_measured_and_not_changed(compute: Compute):
    def time(_plan: Plan) -> float:
        raise AssertionError("nothing is to be measured")

    choice = choose(time, compute=compute, threads=Threads(2, 2, as_set=True))
    assert (choice.compute, choice.threads) == (compute, 2)
    assert "2 threads, as set" in choice.reasons


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({1: 8.0, 2: 4.0, 4: 2.0, 8: 1.0}, 8),
        ({1: 8.0, 2: 5.0, 4: 4.9}, 2),
        ({1: 1.0, 2: 70.0}, 1),  # threads that wait for each other on busy cores
    ],
)
def test_threads_are_doubled_as_long_as_that_pays(seconds: Mapping[int, float], chosen: int):
    choice = choose(
        lambda plan: seconds[plan.threads],
        compute=Compute(),
        threads=Threads(8, 8, as_set=False),
    )
    assert choice.threads == chosen


def test_fewer_threads_than_cores_are_explained():
    choice = choose(faster(), threads=Threads(1, 2, as_set=False))
    assert "1 thread of 2, because the cores are busy" in choice.reasons


def test_without_time_to_measure_the_plain_way_and_all_threads_are_taken():
    choice = choose(lambda _plan: None, threads=Threads(4, 4, as_set=False))
    assert (choice.compute, choice.threads) == (Compute(), 4)
    assert choice.reasons.count("not measured") == 4


def preset(epochs: int, compute: Compute = AUTO) -> Preset:
    return Preset(
        summary="small",
        data=Data(dataset="mnist"),
        model=ModelSpec(network=Conv(channels=(4,), hidden=8), latent=3),
        objective=Objective(),
        optimiser=Optimiser(batch_size=16, epochs=epochs),
        compute=compute,
    )


def same(a: VAE, weights: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(weights[name], tensor) for name, tensor in a.state_dict().items())


def test_a_choice_measures_real_steps_and_leaves_network_and_settings_as_they_are(images: Images):
    settings = preset(epochs=2000)
    vae = initialise(settings.model, seed=0)
    before = {name: weight.clone() for name, weight in vae.state_dict().items()}
    states = torch.get_rng_state(), torch.get_float32_matmul_precision()
    choice = choose_compute(settings, vae, images, threads=None, seed=0)
    assert same(vae, before)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert torch.get_float32_matmul_precision() == states[1]
    assert torch.get_num_threads() == choice.threads == 1
    assert "auto" not in choice.compute.model_dump().values()
    assert "channels last" in choice.reasons


def test_a_short_run_is_not_measured(images: Images):
    settings = preset(epochs=(MIN_STEPS - 1) // 4)
    timer = StepTimer(settings, initialise(settings.model, seed=0), images, seed=0)
    assert timer.compare(Plan(1), Plan(1, channels_last=True)) is None
    assert timer.batch.grad is None
