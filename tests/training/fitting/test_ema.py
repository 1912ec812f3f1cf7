import torch
from torch import nn

from model_store.spec import Conv, ImageShape, ModelSpec
from model_store.vae import VAE, reparameterise
from training.config import Objective, Optimiser
from training.data.images import Images
from training.fitting.ema import MovingAverage
from training.fitting.trainer import Trainer, initialise


def test_the_average_of_constant_weights_is_these_weights(vae: VAE):
    average = MovingAverage(vae, decay=0.9)
    for step in range(1, 4):
        average.update(step)
    for averaged, current in zip(average.vae.parameters(), vae.parameters(), strict=True):
        torch.testing.assert_close(averaged, current)


def test_old_weights_decay_in_the_average(vae: VAE):
    average = MovingAverage(vae, decay=0.75)
    with torch.no_grad():
        vae.to_mu.bias.zero_()
        average.vae.to_mu.bias.fill_(1.0)
    late = 1000  # the decay has then reached its value
    for step in range(late, late + 3):
        average.update(step)
    torch.testing.assert_close(average.vae.to_mu.bias, torch.full((3,), 0.75**3))


def test_after_one_step_the_average_mostly_forgot_the_initial_weights(vae: VAE):
    average = MovingAverage(vae, decay=0.999)
    with torch.no_grad():
        vae.to_mu.bias.zero_()
        average.vae.to_mu.bias.fill_(1.0)
    average.update(1)
    torch.testing.assert_close(average.vae.to_mu.bias, torch.full((3,), 2 / 11))


def conv_with_batch_norm() -> VAE:
    network = Conv(channels=(4, 4), hidden=8, batch_norm=True)
    return initialise(ModelSpec(network=network, latent=2, image=ImageShape()), seed=0)


def test_batch_norm_of_the_average_has_the_statistics_of_its_own_activations(images: Images):
    average = MovingAverage(conv_with_batch_norm(), decay=0.9)
    average.measure_batch_norm(images, seed=0)
    x = images.batch(torch.arange(64))
    norm = next(m for m in average.vae.modules() if isinstance(m, nn.BatchNorm2d))
    first = next(m for m in average.vae.modules() if isinstance(m, nn.Conv2d))
    with torch.no_grad():
        activations = first(x)
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, activations.mean(dim=(0, 2, 3)))
    assert norm.momentum == 0.1


def test_the_average_in_evaluation_mode_computes_what_training_mode_computes(images: Images):
    vae = conv_with_batch_norm()
    average = MovingAverage(vae, decay=0.9)
    average.measure_batch_norm(images, seed=0)
    x, noise = images.batch(torch.arange(64)), torch.Generator().manual_seed(0)
    with torch.no_grad():
        mu, logvar = vae.train().encode(x)
        eps = torch.randn(mu.shape, generator=noise)
        x_logits = vae.decode(reparameterise(mu, logvar, eps))
        mu_of_average, _ = average.vae.eval().encode(x)
        same = average.vae.decode(reparameterise(mu, logvar, eps))
    # not exact: running variances use Bessel's correction
    torch.testing.assert_close(mu_of_average, mu, atol=0.02, rtol=0.02)
    torch.testing.assert_close(same, x_logits, atol=0.02, rtol=0.02)


def test_a_trainer_trains_the_weights_and_returns_their_average(images: Images):
    vae = conv_with_batch_norm()
    optimiser = Optimiser(batch_size=16, epochs=2, ema_decay=0.9)
    trainer = Trainer(vae, Objective(), optimiser, seed=0)
    for _ in trainer.fit(images, images):
        pass
    assert trainer.trained is not vae
    assert not torch.equal(trainer.trained.to_mu.weight, vae.to_mu.weight)
    weights = trainer.trained.state_dict()
    assert weights.keys() == vae.state_dict().keys()
