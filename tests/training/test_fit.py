import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model_store import VAE, ImageShape, ModelSpec
from training.config import Objective, Optimiser, load_preset
from training.data import Images, load
from training.errors import NonFiniteLossError
from training.fit import EpochDone, Progress, Trainer, batch_indices, initialise, mean_bound


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


def test_the_weights_do_not_depend_on_what_was_drawn_before(spec: ModelSpec, images: Images):
    before = trained(spec, images)
    torch.rand(3)
    assert equal(before, trained(spec, images))


def test_another_seed_gives_other_weights(spec: ModelSpec, images: Images):
    assert not equal(trained(spec, images, seed=0), trained(spec, images, seed=1))


def test_training_leaves_the_global_random_state_alone(spec: ModelSpec, images: Images):
    before = torch.get_rng_state()
    trained(spec, images)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_shows_every_image_once():
    batches = batch_indices(64, 10, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in batches] == [10, 10, 10, 10, 10, 10, 4]
    assert torch.cat(batches).sort().values.equal(torch.arange(64))
    assert not torch.cat(batches).equal(torch.arange(64))


def test_reports_end_each_epoch_with_all_images_and_a_line_of_the_loss_curve(
    vae: VAE, images: Images
):
    trainer = Trainer(vae, Objective(), Optimiser(batch_size=1, epochs=2), seed=0)
    events = list(trainer.fit(images, images))
    assert [(type(event), event.epoch) for event in events] == [
        (Progress, 1),
        (Progress, 1),
        (EpochDone, 1),
        (Progress, 2),
        (Progress, 2),
        (EpochDone, 2),
    ]
    assert [event.images for event in events if isinstance(event, Progress)] == [32, 64, 32, 64]


def test_the_averages_are_those_of_the_parts_and_loss_weighs_the_kl_with_beta(
    vae: VAE, images: Images
):
    averages = mean_bound(vae, images, Objective(beta=4.0), torch.Generator().manual_seed(0), 7)
    assert averages.loss == pytest.approx(averages.reconstruction + 4.0 * averages.kl)
    assert averages.reconstruction > 0
    assert averages.kl > 0


def test_training_lowers_the_loss_on_images_that_it_has_not_seen(spec: ModelSpec, images: Images):
    train, test = Images(images.pixels[:48]), Images(images.pixels[48:])
    trainer = Trainer(initialise(spec, 0), Objective(), Optimiser(batch_size=8, epochs=8), seed=0)
    losses = [e.test.loss for e in trainer.fit(train, test) if isinstance(e, EpochDone)]
    assert losses[-1] < losses[0] < 784 * math.log(2) * 1.1


def test_a_higher_beta_buys_a_lower_kl(spec: ModelSpec, images: Images):
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


def test_six_epochs_of_lab_on_2000_digits_beat_the_mean_image(real_data_dir: Path):
    lab = load_preset("lab", {"data.train_images": 2000, "optimiser.epochs": 6})
    splits = load(lab.data, real_data_dir, ImageShape())
    trainer = Trainer(initialise(lab.model, 0), lab.objective, lab.optimiser, seed=0)
    *_, last = trainer.fit(splits.train, splits.test)
    assert isinstance(last, EpochDone)
    # a model of the pixels' means alone, without any latents, gives 205.8 nats
    assert last.test.loss < 205.8
