"""The VAE: networks, flow prior, likelihoods, and the copy of a network that serves. Needs torch."""

from model_store.vae.compiled import ARITHMETIC, ready_to_run
from model_store.vae.gaussian import (
    kl_between,
    kl_per_dimension,
    kl_to_standard_normal,
    normal_log_density,
    reparameterise,
    standard_normal_log_density,
)
from model_store.vae.likelihood import bernoulli_log_likelihood, discretised_logistic_log_likelihood
from model_store.vae.model import VAE, build_vae

__all__ = [
    "ARITHMETIC",
    "VAE",
    "bernoulli_log_likelihood",
    "build_vae",
    "discretised_logistic_log_likelihood",
    "kl_between",
    "kl_per_dimension",
    "kl_to_standard_normal",
    "normal_log_density",
    "ready_to_run",
    "reparameterise",
    "standard_normal_log_density",
]
