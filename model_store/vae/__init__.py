"""The VAE: networks, flow prior, likelihoods, and its compiled form for inference. Needs torch."""

from model_store.vae.compiled import ARITHMETIC, compile_for_inference
from model_store.vae.gaussian import (
    kl_between,
    kl_per_dimension,
    kl_to_standard_normal,
    normal_log_density,
    reparameterise,
    standard_normal_log_density,
)
from model_store.vae.interface import TrainedVAE
from model_store.vae.likelihood import bernoulli_log_likelihood, discretised_logistic_log_likelihood
from model_store.vae.model import VAE, build_vae
from model_store.vae.precision import to_float32

__all__ = [
    "ARITHMETIC",
    "VAE",
    "TrainedVAE",
    "bernoulli_log_likelihood",
    "build_vae",
    "compile_for_inference",
    "discretised_logistic_log_likelihood",
    "kl_between",
    "kl_per_dimension",
    "kl_to_standard_normal",
    "normal_log_density",
    "reparameterise",
    "standard_normal_log_density",
    "to_float32",
]
