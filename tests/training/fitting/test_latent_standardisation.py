import pytest
import torch

from model_store.spec import MLP, Conv, ImageShape, ModelSpec, Residual
from model_store.vae import VAE, kl_to_standard_normal
from training.config import Objective, Optimiser, changed, load_preset
from training.data.images import Images
from training.errors import SettingError
from training.fitting.latent_standardisation import standardise_latents
from training.fitting.trainer import Trainer, initialise

SPECS = (
    ModelSpec(latent=3, image=ImageShape(height=16, width=16), network=MLP(hidden=(20,))),
    ModelSpec(
        latent=3,
        image=ImageShape(channels=3, height=16, width=16),
        likelihood="discretised_logistic",
        network=Conv(channels=(4, 6), hidden=8, batch_norm=True),
    ),
    ModelSpec(
        latent=3, image=ImageShape(height=16, width=16), network=Residual(channels=(4, 6), hidden=8)
    ),
)


def off_centre(spec: ModelSpec) -> tuple[VAE, Images]:
    """Return a model whose latents have other means and variances, and images."""
    vae = initialise(spec, seed=1).eval()
    with torch.no_grad():
        vae.to_mu.bias.add_(torch.tensor([0.9, -2.0, 0.1]))
        vae.to_mu.weight.mul_(torch.tensor([[1.0], [4.0], [0.2]]))
        vae.to_logvar.bias.add_(torch.tensor([-1.0, 0.0, 1.0]))
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, *spec.image.shape), generator=noise, dtype=torch.uint8)
    return vae, Images(pixels)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.network.kind)
@torch.no_grad()
def test_means_become_zero_and_variances_one_and_images_decode_as_before(spec: ModelSpec):
    vae, images = off_centre(spec)
    x, eps = images.batch(torch.arange(len(images))), torch.randn(len(images), spec.latent)
    mu, logvar = vae.encode(x)
    decoded = vae.decode(mu + torch.exp(0.5 * logvar) * eps)
    standardise_latents(vae, images, batch_size=7)
    new_mu, new_logvar = vae.encode(x)
    torch.testing.assert_close(new_mu.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    second = (new_mu.square() + new_logvar.exp()).mean(0)
    torch.testing.assert_close(second, torch.ones(3), atol=1e-5, rtol=0)
    again = vae.decode(new_mu + torch.exp(0.5 * new_logvar) * eps)
    torch.testing.assert_close(again, decoded, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_no_other_shift_or_scale_has_a_lower_kl():
    vae, images = off_centre(SPECS[0])
    standardise_latents(vae, images)
    mu, logvar = vae.encode(images.batch(torch.arange(len(images))))
    best = kl_to_standard_normal(mu, logvar).mean()
    for shift, scale in ((0.05, 1.0), (-0.05, 1.0), (0.0, 1.05), (0.0, 0.95)):
        other = kl_to_standard_normal(
            (mu - shift) / scale, logvar - 2 * torch.tensor(scale).log()
        ).mean()
        assert other > best


def test_training_standardises_the_latents_after_its_last_epoch():
    _, images = off_centre(SPECS[0])
    vae = initialise(SPECS[0], seed=0)
    optimiser = Optimiser(epochs=2, batch_size=8, ema_decay=0.9)
    trainer = Trainer(vae, Objective(standardise_latents=True), optimiser, seed=0)
    list(trainer.fit(images, images))
    with torch.no_grad():
        mu, _ = trainer.trained.encode(images.batch(torch.arange(len(images))))
    torch.testing.assert_close(mu.mean(0), torch.zeros(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "change",
    [{"model.prior": {"couplings": 2, "hidden": 4}}, {"model.logvar_bound": 8.0}],
    ids=["flow", "bound"],
)
def test_a_flow_or_a_bound_of_logvar_is_refused(change: dict[str, object]):
    with pytest.raises(SettingError, match="works with neither"):
        changed(load_preset("lab"), {"objective.standardise_latents": True} | change)
