"""What a model is and how it is kept: networks, their specs, and versioned weights.

Knows neither HTTP nor training. Everything that `app` and `training` may use is named here.
"""

from model_store.artifact import WEIGHTS
from model_store.errors import (
    AliasNotFoundError,
    ChecksumError,
    CorruptVersionError,
    FigureNotFoundError,
    InvalidReferenceError,
    ManifestError,
    ModelNotFoundError,
    NonFiniteError,
    NotFoundError,
    PublishError,
    ShapeError,
    StoreError,
    VersionNotFoundError,
)
from model_store.gaussian import (
    kl_between,
    kl_per_dimension,
    kl_to_standard_normal,
    normal_log_density,
    reparameterise,
    standard_normal_log_density,
)
from model_store.inference import ARITHMETIC, ready_to_run
from model_store.likelihood import (
    bernoulli_log_likelihood,
    discretised_logistic_log_likelihood,
)
from model_store.mixture import NO_CLASSES, ClassLatents, GaussianMixture, as_stored
from model_store.spec import (
    MLP,
    PRODUCTION,
    Conv,
    Description,
    EpochRecord,
    Flow,
    Frozen,
    ImageShape,
    LatentStatistics,
    Manifest,
    Metric,
    ModelRef,
    ModelSpec,
    Residual,
    TrainingRecord,
)
from model_store.store import SHIPPED, Store, StoredModel
from model_store.vae import VAE, build_vae

__all__ = [
    "ARITHMETIC",
    "MLP",
    "NO_CLASSES",
    "PRODUCTION",
    "SHIPPED",
    "VAE",
    "WEIGHTS",
    "AliasNotFoundError",
    "ChecksumError",
    "ClassLatents",
    "Conv",
    "CorruptVersionError",
    "Description",
    "EpochRecord",
    "FigureNotFoundError",
    "Flow",
    "Frozen",
    "GaussianMixture",
    "ImageShape",
    "InvalidReferenceError",
    "LatentStatistics",
    "Manifest",
    "ManifestError",
    "Metric",
    "ModelNotFoundError",
    "ModelRef",
    "ModelSpec",
    "NonFiniteError",
    "NotFoundError",
    "PublishError",
    "Residual",
    "ShapeError",
    "Store",
    "StoreError",
    "StoredModel",
    "TrainingRecord",
    "VersionNotFoundError",
    "as_stored",
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
