from itertools import pairwise

import pytest
import torch
from torch import Tensor

from model_store.spec import Conv, Flow, ModelSpec
from model_store.vae import normal_log_density, standard_normal_log_density
from training.config import Objective, Optimiser, load_preset
from training.data.images import Images
from training.errors import SettingError
from training.fitting.events import EpochDone
from training.fitting.prior import encode, kl_to_flow
from training.fitting.schedule import learning_rate_at
from training.fitting.trainer import Trainer, initialise

OBJECTIVE = Objective(targets="mixed", prior_only_epochs=3)
OPTIMISER = Optimiser(name="adamw", learning_rate=1e-2, epochs=5, batch_size=10, ema_decay=0.9)


@pytest.fixture
def flowing(spec: ModelSpec) -> ModelSpec:
    return spec.model_copy(update={"prior": Flow(couplings=2, hidden=8)})


def a_trainer(spec: ModelSpec, objective: Objective = OBJECTIVE) -> Trainer:
    return Trainer(initialise(spec, seed=0), objective, OPTIMISER, seed=0)


def networks(trainer: Trainer) -> dict[str, Tensor]:
    weights = trainer.trained.state_dict()
    return {k: v.clone() for k, v in weights.items() if not k.startswith("flow.")}


def test_the_last_epochs_train_the_flow_and_leave_the_averaged_networks_as_they_are(
    flowing: ModelSpec, images: Images
):
    trainer, after, kls = a_trainer(flowing), [], []
    for event in trainer.fit(images, images):
        if isinstance(event, EpochDone):
            after.append(networks(trainer))
            kls.append(event.test.kl)
    same = [all(torch.equal(a[k], b[k]) for k in a) for a, b in pairwise(after)]
    assert same == [False, True, True, True]
    assert kls[-1] < kls[1]


def test_a_training_that_is_resumed_among_the_last_epochs_ends_at_the_same_weights(
    flowing: ModelSpec, images: Images
):
    whole, first, second = (a_trainer(flowing) for _ in range(3))
    for _ in whole.fit(images, images):
        pass
    for event in first.fit(images, images):
        if isinstance(event, EpochDone) and event.epoch == 4:
            break
    second.restore(first.state())
    for _ in second.fit(images, images):
        pass
    expected, state = whole.state(), second.state()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_images_are_encoded_grey_whatever_the_objective_binarizes(
    flowing: ModelSpec, images: Images
):
    vae = initialise(flowing, seed=0).eval()
    encoded = encode(vae, images, torch.Generator().manual_seed(0))
    mu, logvar = vae.posterior(images.batch(torch.arange(len(images))))
    torch.testing.assert_close((encoded.mu, encoded.logvar), (mu, logvar))


def test_the_kl_to_a_flow_that_is_the_identity_is_the_one_to_a_standard_normal(
    flowing: ModelSpec,
):
    vae, noise = initialise(flowing, seed=0), torch.Generator().manual_seed(0)
    mu, logvar, eps = torch.randn((3, 20, flowing.latent), generator=noise)
    z = mu + torch.exp(0.5 * logvar) * eps
    expected = normal_log_density(z, mu, logvar) - standard_normal_log_density(z)
    torch.testing.assert_close(kl_to_flow(vae, mu, logvar, eps), expected)


def test_the_learning_rate_falls_to_zero_twice_once_for_the_vae_and_once_for_the_flow():
    optimiser = Optimiser(learning_rate=1.0, schedule="cosine", epochs=10)
    rates = [learning_rate_at(optimiser, epochs, prior_only_epochs=4) for epochs in (0, 3, 6, 8)]
    assert rates == pytest.approx([1.0, 0.5, 1.0, 0.5])
    assert learning_rate_at(optimiser, 5.999, 4) < 1e-6 > learning_rate_at(optimiser, 9.999, 4)


def test_training_the_flow_alone_needs_a_flow():
    with pytest.raises(SettingError, match=r"prior_only_epochs needs a model\.prior"):
        load_preset("lab", {"objective.prior_only_epochs": 3})


def test_epochs_of_the_flow_alone_leave_the_statistics_of_batch_norms_as_they_are(images: Images):
    network = Conv(channels=(4, 8), hidden=8, batch_norm=True)
    spec = ModelSpec(network=network, latent=4, prior=Flow(couplings=2, hidden=8))
    trainer = a_trainer(spec, Objective(freeze_vae_epochs=2))
    before = networks(trainer)
    for event in trainer.fit(images, images):
        if isinstance(event, EpochDone) and event.epoch == 2:
            after = networks(trainer)
            assert all(torch.equal(after[name], before[name]) for name in before)
            break
