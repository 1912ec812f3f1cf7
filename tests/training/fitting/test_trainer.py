import math
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from model_store.spec import Flow, ModelSpec, Residual
from model_store.vae import VAE, kl_between
from training.config import Augmentation, Compute, Objective, Optimiser, load_preset
from training.data.augmentation import augment
from training.data.images import Images
from training.data.loading import load
from training.errors import NonFiniteLossError
from training.fitting.events import EpochDone, EpochProgress
from training.fitting.trainer import (
    Trainer,
    initialise,
    mean_bound,
)


def trained(spec: ModelSpec, images: Images, seed: int = 0, epochs: int = 2) -> dict[str, Tensor]:
    vae = initialise(spec, seed)
    optimiser = Optimiser(batch_size=10, epochs=epochs)
    for _ in Trainer(vae, Objective(), optimiser, seed).fit(images, images):
        pass
    return vae.state_dict()


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_same_seed_gives_the_same_weights_bit_for_bit(spec: ModelSpec, images: Images):
    assert equal(trained(spec, images), trained(spec, images))


def test_the_weights_do_not_depend_on_the_global_random_state(spec: ModelSpec, images: Images):
    before = trained(spec, images)
    torch.rand(3)
    assert equal(before, trained(spec, images))


def test_another_seed_gives_other_weights(spec: ModelSpec, images: Images):
    assert not equal(trained(spec, images, seed=0), trained(spec, images, seed=1))


def test_training_leaves_the_global_random_state_alone(spec: ModelSpec, images: Images):
    before = torch.get_rng_state()
    trained(spec, images)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_trains_on_every_image_once_in_random_order(
    vae: VAE, images: Images, monkeypatch: pytest.MonkeyPatch
):
    batches: list[Tensor] = []

    def record(x: Tensor, _epochs: float) -> Tensor:
        batches.append(x)
        return torch.zeros(3)

    trainer = Trainer(vae, Objective(), Optimiser(batch_size=10), seed=0)
    monkeypatch.setattr(trainer, "step", record)
    list(trainer.epoch(images))
    assert [len(batch) for batch in batches] == [10, 10, 10, 10, 10, 10, 4]
    seen, original = torch.cat(batches), images.batch(torch.arange(64))
    assert not torch.equal(seen, original)
    counted = [batch.unique(dim=0, return_counts=True) for batch in (seen, original)]
    assert all(torch.equal(a, b) for a, b in zip(*counted, strict=True))


def test_several_passes_make_one_epoch_of_all_images_each_time_in_another_order(
    vae: VAE, images: Images, monkeypatch: pytest.MonkeyPatch
):
    batches: list[Tensor] = []

    def record(x: Tensor, _epochs: float) -> Tensor:
        batches.append(x)
        return torch.zeros(3)

    trainer = Trainer(vae, Objective(), Optimiser(batch_size=16, passes=3), seed=0)
    monkeypatch.setattr(trainer, "step", record)
    *_, last = trainer.epoch(images)
    assert last.images == 3 * 64
    passes = torch.cat(batches).chunk(3)
    assert not torch.equal(passes[0], passes[1])
    counted = [batch.unique(dim=0, return_counts=True) for batch in passes]
    assert all(
        torch.equal(a, b) for other in counted[1:] for a, b in zip(counted[0], other, strict=True)
    )


def test_the_schedule_counts_an_epoch_of_several_passes_as_one(vae: VAE, images: Images):
    optimiser = Optimiser(batch_size=16, passes=3, epochs=2, schedule="cosine")
    trainer = Trainer(vae, Objective(), optimiser, seed=0)
    rates = [e.learning_rate for e in trainer.fit(images, images) if isinstance(e, EpochDone)]
    assert trainer.steps == 2 * 3 * 64 / 16
    assert rates == pytest.approx([0.5 * optimiser.learning_rate, 0.0])


def test_each_epoch_reports_progress_and_ends_with_its_averages(vae: VAE, images: Images):
    trainer = Trainer(vae, Objective(), Optimiser(batch_size=1, epochs=2), seed=0)
    events = list(trainer.fit(images, images))
    assert [(type(event), event.epoch) for event in events] == [
        (EpochProgress, 1),
        (EpochProgress, 1),
        (EpochDone, 1),
        (EpochProgress, 2),
        (EpochProgress, 2),
        (EpochDone, 2),
    ]
    assert [event.images for event in events if isinstance(event, EpochProgress)] == [
        32,
        64,
        32,
        64,
    ]


def test_the_mean_loss_weighs_the_kl_with_beta(vae: VAE, images: Images):
    averages = mean_bound(vae, images, Objective(beta=4.0), torch.Generator().manual_seed(0), 7)
    assert averages.loss == pytest.approx(averages.reconstruction + 4.0 * averages.kl)
    assert averages.reconstruction > 0
    assert averages.kl > 0


def test_training_lowers_the_loss_on_images_that_it_has_not_seen(spec: ModelSpec, images: Images):
    train, test = Images(images.pixels[:48]), Images(images.pixels[48:])
    trainer = Trainer(initialise(spec, 0), Objective(), Optimiser(batch_size=8, epochs=8), seed=0)
    losses = [e.test.loss for e in trainer.fit(train, test) if isinstance(e, EpochDone)]
    assert losses[-1] < losses[0] < 784 * math.log(2) * 1.1


def test_a_higher_beta_lowers_the_kl(spec: ModelSpec, images: Images):
    def kl_after_training(beta: float) -> float:
        optimiser = Optimiser(batch_size=8, epochs=8)
        events = Trainer(initialise(spec, 0), Objective(beta=beta), optimiser, 0).fit(
            images, images
        )
        return [event.test.kl for event in events if isinstance(event, EpochDone)][-1]

    assert kl_after_training(4.0) < kl_after_training(1.0) < kl_after_training(0.0)


def test_a_loss_that_is_not_finite_stops_training_and_names_the_remedy(vae: VAE, images: Images):
    with torch.no_grad():
        vae.to_logvar.bias.fill_(1000.0)
    trainer = Trainer(vae, Objective(), Optimiser(epochs=1), seed=0)
    with pytest.raises(NonFiniteLossError, match=r"epoch 1; lower optimiser\.learning_rate"):
        list(trainer.fit(images, images))


def one_step(spec: ModelSpec, images: Images, optimiser: Optimiser) -> float:
    """Return the Euclidean length of a first step on all images."""
    vae = initialise(spec, seed=0)
    before = torch.nn.utils.parameters_to_vector(vae.parameters()).detach().clone()
    for _ in Trainer(vae, Objective(), optimiser, seed=0).epoch(images):
        pass
    after = torch.nn.utils.parameters_to_vector(vae.parameters()).detach()
    return float((after - before).norm())


def test_a_gradient_is_clipped_to_the_given_norm(spec: ModelSpec, images: Images):
    vae = initialise(spec, seed=0)
    trainer = Trainer(vae, Objective(), Optimiser(clip_norm=0.5), seed=0)
    trainer.step(images.batch(torch.arange(16)), epochs=0.0)
    gradients = [weight.grad.norm() for weight in vae.parameters() if weight.grad is not None]
    assert torch.stack(gradients).norm().item() == pytest.approx(0.5, rel=1e-4)


def test_weight_decay_shrinks_weights_by_rate_times_decay(spec: ModelSpec, images: Images):
    steps = {}
    for decay in (0.0, 0.1):
        vae = initialise(spec, seed=0)
        start = vae.to_mu.weight.detach().clone()
        optimiser = Optimiser(name="adamw", weight_decay=decay, learning_rate=0.01)
        trainer = Trainer(vae, Objective(), optimiser, seed=0)
        trainer.step(images.batch(torch.arange(16)), epochs=0.0)
        steps[decay] = vae.to_mu.weight.detach().clone()
    # Loshchilov & Hutter 2019, algorithm 2
    torch.testing.assert_close(steps[0.1] - steps[0.0], -0.01 * 0.1 * start)


def test_the_first_step_of_a_warm_up_changes_nothing(spec: ModelSpec, images: Images):
    assert one_step(spec, images, Optimiser(warmup_epochs=1)) == 0.0
    assert one_step(spec, images, Optimiser()) > 0.0


def test_annealing_reports_the_beta_after_each_epoch(vae: VAE, images: Images):
    objective = Objective(beta=2.0, annealing_epochs=4)
    optimiser = Optimiser(batch_size=10, epochs=5)
    events = Trainer(vae, objective, optimiser, seed=0).fit(images, images)
    betas = [event.beta for event in events if isinstance(event, EpochDone)]
    assert betas == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])


def test_free_bits_keep_more_kl_than_the_plain_bound(spec: ModelSpec, images: Images):
    def kl_after_training(free_bits: float) -> float:
        objective = Objective(beta=20.0, free_bits=free_bits)
        optimiser = Optimiser(batch_size=8, epochs=12, learning_rate=3e-3)
        events = Trainer(initialise(spec, 0), objective, optimiser, 0).fit(images, images)
        return [event.test.kl for event in events if isinstance(event, EpochDone)][-1]

    assert kl_after_training(2.0) > kl_after_training(0.0) + 1.0


def test_binary_targets_are_drawn_anew_each_epoch_and_the_same_for_the_same_seed(
    spec: ModelSpec, images: Images
):
    def losses() -> list[float]:
        optimiser = Optimiser(batch_size=64, epochs=3, learning_rate=1e-12)
        trainer = Trainer(initialise(spec, 0), Objective(targets="binary"), optimiser, seed=0)
        events = trainer.fit(Images(images.pixels // 2), images)
        return [event.train.reconstruction for event in events if isinstance(event, EpochDone)]

    assert losses() == losses()
    assert len(set(losses())) == 3


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_restored_trainer_continues_like_an_uninterrupted_one(
    spec: ModelSpec, images: Images, stop_after: int
):
    objective = Objective(annealing_epochs=2, targets="binary")
    optimiser = Optimiser(
        name="adamw", weight_decay=0.01, batch_size=10, epochs=3, schedule="cosine", ema_decay=0.9
    )
    whole = Trainer(initialise(spec, 0), objective, optimiser, seed=0)
    expected = [event for event in whole.fit(images, images) if isinstance(event, EpochDone)]
    first = Trainer(initialise(spec, 0), objective, optimiser, seed=0)
    for event in first.fit(images, images):
        if isinstance(event, EpochDone) and event.epoch == stop_after:
            break
    second = Trainer(initialise(spec, 5), objective, optimiser, seed=0)
    second.restore(first.state())
    rest = [event for event in second.fit(images, images) if isinstance(event, EpochDone)]
    assert equal(whole.state(), second.state())
    assert [event.test for event in rest] == [event.test for event in expected[stop_after:]]


def test_six_epochs_of_lab_on_2000_digits_beat_the_mean_image(real_data_dir: Path):
    lab = load_preset("lab", {"data.train_images": 2000, "optimiser.epochs": 6})
    splits = load(lab.data, real_data_dir, lab.model)
    trainer = Trainer(initialise(lab.model, 0), lab.objective, lab.optimiser, seed=0)
    *_, last = trainer.fit(splits.train, splits.test)
    assert isinstance(last, EpochDone)
    # a model of the pixels' means alone, without any latents, gives 205.8 nats
    assert last.test.loss < 205.8


def test_images_are_augmented_until_the_given_epoch(spec: ModelSpec, images: Images):
    def after(augment_probability: float, epochs: float) -> torch.Tensor:
        objective = Objective(augment_probability=augment_probability, augment_until_epoch=2)
        trainer = Trainer(initialise(spec, seed=0), objective, Optimiser(), seed=0)
        trainer.noise.manual_seed(0)
        trainer.step(images.batch(torch.arange(16)), epochs)
        return trainer.vae.to_mu.weight.detach()

    assert torch.equal(after(1.0, epochs=2.0), after(0.0, epochs=2.0))
    assert not torch.equal(after(1.0, epochs=1.9), after(0.0, epochs=1.9))


def test_consistency_lowers_the_kl_between_posteriors_of_an_image_and_its_augmented_copy(
    spec: ModelSpec, images: Images
):
    optimiser = Optimiser(learning_rate=1e-2, epochs=60)
    distances = {}
    for weight in (0.001, 5.0):
        objective = Objective(consistency=weight)
        trainer = Trainer(initialise(spec, seed=0), objective, optimiser, seed=0)
        for _ in trainer.fit(images, images):
            pass
        x = images.batch(torch.arange(64))
        with torch.no_grad():
            mu, logvar = trainer.vae.posterior(x)
            other = trainer.vae.posterior(
                augment(x, Augmentation(), torch.Generator().manual_seed(0))
            )
        distances[weight] = kl_between(*other, mu, logvar).mean().item()
    assert distances[5.0] < 0.5 * distances[0.001]


def test_several_draws_start_after_the_given_epoch(spec: ModelSpec, images: Images):
    def loss(samples: int, epochs: float) -> float:
        objective = Objective(importance_samples=samples, importance_after_epochs=1)
        trainer = Trainer(initialise(spec, seed=0), objective, Optimiser(), seed=0)
        return trainer.step(images.batch(torch.arange(64)), epochs)[0].item()

    assert loss(16, epochs=0.5) == loss(1, epochs=0.5)
    assert loss(16, epochs=1.0) < loss(1, epochs=1.0)


def test_training_in_bfloat16_ends_at_about_the_same_loss(spec: ModelSpec, images: Images):
    losses = []
    for compute in (Compute(), Compute(bf16=True)):
        trainer = Trainer(initialise(spec, seed=0), Objective(), Optimiser(epochs=10), 0, compute)
        *_, done = [event for event in trainer.fit(images, images) if isinstance(event, EpochDone)]
        losses.append(done.test.loss)
        assert all(weight.dtype == torch.float32 for weight in trainer.vae.parameters())
    assert losses[1] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_freezing_the_vae_trains_only_the_flow_and_lowers_the_kl(spec: ModelSpec, images: Images):
    flowing = spec.model_copy(update={"prior": Flow(couplings=2, hidden=8)})
    trainer = Trainer(
        initialise(flowing, seed=0),
        Objective(freeze_vae_epochs=30),
        Optimiser(learning_rate=1e-2, epochs=31),
        seed=0,
    )
    torch.nn.init.constant_(trainer.vae.to_mu.bias, 2.0)  # far from N(0, I)
    before = {k: v.clone() for k, v in trainer.vae.state_dict().items()}
    kls = []
    for event in trainer.fit(images, images):
        if isinstance(event, EpochDone):
            kls.append(event.test.kl)
            after = trainer.vae.state_dict()
            still = all(torch.equal(after[k], before[k]) for k in after if "flow" not in k)
            assert still == (event.epoch <= 30)
    assert kls[29] < 0.5 * kls[0]


@pytest.fixture
def convolutions() -> ModelSpec:
    return ModelSpec(network=Residual(channels=(4, 8), hidden=8, batch_norm=True), latent=3)


def test_channels_last_changes_nothing_but_rounding(convolutions: ModelSpec, images: Images):
    """Compare the first step alone: in later steps, Adam enlarges the differences of rounding."""
    parts, gradients = [], []
    for compute in (Compute(), Compute(channels_last=True)):
        vae = initialise(convolutions, seed=0)
        trainer = Trainer(vae, Objective(), Optimiser(), 0, compute)
        parts.append(trainer.step(images.batch(torch.arange(16)), epochs=0.0))
        gradients.append(torch.cat([cast(Tensor, w.grad).flatten() for w in vae.parameters()]))
    torch.testing.assert_close(parts[1], parts[0], rtol=1e-5, atol=0.0)
    assert (gradients[1] - gradients[0]).norm() < 1e-4 * gradients[0].norm()


def test_a_restored_trainer_continues_in_channels_last(convolutions: ModelSpec, images: Images):
    compute = Compute(channels_last=True)
    x = images.batch(torch.arange(16))
    first, second = (
        Trainer(initialise(convolutions, seed), Objective(), Optimiser(ema_decay=0.9), 0, compute)
        for seed in (0, 1)
    )
    first.step(x, epochs=0.0)
    state = first.state()
    assert all(tensor.is_contiguous() for tensor in state.values()), "safetensors needs that"
    second.restore(state)
    first.step(x, epochs=0.1)
    second.step(x, epochs=0.1)
    assert equal(first.state(), second.state())


def test_a_trainer_that_gets_auto_does_without(spec: ModelSpec, images: Images):
    auto = Compute(bf16="auto", channels_last="auto", matmul="auto")
    states = []
    for compute in (Compute(), auto):
        trainer = Trainer(initialise(spec, 0), Objective(), Optimiser(), 0, compute)
        trainer.step(images.batch(torch.arange(16)), epochs=0.0)
        states.append(trainer.state())
    assert equal(*states)
