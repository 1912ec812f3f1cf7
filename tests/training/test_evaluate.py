import math

import pytest
import torch

from model_store import VAE, kl_to_standard_normal
from training.config import Objective
from training.data import Images
from training.evaluate import evaluate
from training.fit import mean_bound


def test_an_encoder_that_answers_with_the_prior_has_no_kl_and_standard_latents(
    vae: VAE, images: Images
):
    for head in (vae.to_mu, vae.to_logvar):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    evaluation = evaluate(vae, images, "strokes")
    assert evaluation.metrics["test_kl"].value == 0.0
    assert evaluation.latents.kl_nats == (0.0, 0.0, 0.0)
    assert evaluation.latents.mean == (0.0, 0.0, 0.0)
    assert evaluation.latents.std == (1.0, 1.0, 1.0)


def test_a_decoder_that_knows_nothing_pays_one_bit_a_pixel(vae: VAE, images: Images):
    for weight in vae.decoder.parameters():
        torch.nn.init.zeros_(weight)
    metrics = evaluate(vae, images, "strokes").metrics
    assert metrics["test_reconstruction"].value == pytest.approx(784 * math.log(2))


def test_the_numbers_add_up(vae: VAE, images: Images):
    evaluation = evaluate(vae, images, "strokes", batch_size=7)
    metrics = {name: metric.value for name, metric in evaluation.metrics.items()}
    assert metrics["test_negative_elbo"] == pytest.approx(
        metrics["test_reconstruction"] + metrics["test_kl"]
    )
    assert sum(evaluation.latents.kl_nats) == pytest.approx(metrics["test_kl"])
    with torch.no_grad():
        kl = kl_to_standard_normal(*vae.encode(images.batch(torch.arange(64)))).mean()
    assert metrics["test_kl"] == pytest.approx(kl.item(), rel=1e-5)


def test_the_loss_of_training_estimates_the_published_number(vae: VAE, images: Images):
    published = evaluate(vae, images, "strokes").metrics["test_negative_elbo"].value
    averages = mean_bound(vae, images, Objective(), torch.Generator().manual_seed(5))
    assert averages.loss == pytest.approx(published, abs=1.0)


def test_the_aggregate_posterior_is_the_one_that_drawing_from_it_shows(vae: VAE, images: Images):
    latents = evaluate(vae, images, "strokes").latents
    with torch.no_grad():
        mu, logvar = vae.encode(images.batch(torch.arange(64)))
    eps = torch.randn((5000, *mu.shape), generator=torch.Generator().manual_seed(0))
    z = (mu + torch.exp(0.5 * logvar) * eps).flatten(end_dim=1)
    torch.testing.assert_close(torch.tensor(latents.mean), z.mean(dim=0), atol=0.01, rtol=0)
    torch.testing.assert_close(torch.tensor(latents.std), z.std(dim=0), atol=0.01, rtol=0)


def test_evaluating_twice_gives_the_same_numbers(vae: VAE, images: Images):
    assert evaluate(vae, images, "strokes") == evaluate(vae, images, "strokes")


def test_every_number_says_how_it_was_measured(vae: VAE, images: Images):
    for metric in evaluate(vae, images, "strokes").metrics.values():
        assert "64 test images of strokes" in metric.protocol
        assert "nats" in metric.unit
