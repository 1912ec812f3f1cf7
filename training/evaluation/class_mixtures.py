"""Fit a Gaussian mixture to the latents of each class, from which a label can be sampled.

The mixture models the class's aggregate posterior: the latents that the decoder was trained to
decode for images of the class, which spread by sigma around every mu. The choices below were
measured; "right" is the share that the judge assigns to the requested class, "recall" the recall of
the class's test images in the judge's features, "ln p" the log density of held-out latents in nats.

1. Full covariances, fitted to mu and sigma. On `lab`, 10 epochs, 1,000 samples per class:

    covariance, components, fitted to             right   recall   ln p
    diagonal, 20, mu and sigma                   87.6 %   0.67   -23.2
    full, 2, mu and sigma                        90.5 %   0.66   -22.6
    full, 10, mu and sigma                       94.9 %   0.66   -21.4
    full, 10, mu and sigma; temperature 0.9      96.5 %   0.61
    full, 10, mu only                            96.1 %   0.59   -24.2

   For cleaner samples, lower the temperature: that keeps more variety than fitting mu only. The
   default temperature stays 1.

2. Gaussians of different classes overlap where no image was encoded, so a draw is rejected if its
   p(class | z) is below MIN_CLASS_PROBABILITY. On `mnist@3`, 500 samples per class:

    p(class | z)                                  right   recall   kept
    any                                          93.7 %   0.854   100 %
    at least 0.5                                 96.8 %   0.844    96 %
    at least 0.9                                 98.6 %   0.831    88 %
    at least 0.99                                99.4 %   0.792    71 %
    any, 20 components instead of 10             94.3 %
    any, refitted to the draws kept at 0.9       93.7 % (10 components), 93.9 % (16 components)

3. Rejection leaves classes with less variety than samples of the prior have, so the standard
   deviations of every component are multiplied by STD_SCALE. Samples of the prior, assigned to
   classes by the judge, have a recall of 0.833 (`mnist-flow@2`) and 0.875 (`mnist@4`). As many
   samples per class as test images:

                                  mnist-flow@2        mnist@4
    scale                         right   recall      right   recall
    1.0                          99.1 %   0.802      98.4 %   0.814
    1.1                          98.8 %   0.838      97.9 %   0.843
    1.2                          98.2 %   0.865      97.1 %   0.853

4. Under a flow, mixtures are fitted in the space of q(z | x), which is a Gaussian there, and draws
   are mapped through the flow; in the space of N(0, I) the classes have curved shapes. 890 samples
   per class, the first row from the cards of mnist-flow@2 and fashion-flow@1:

                                      mnist-flow          fashion-flow
    space, p(class | z)               right   recall      right   recall
    N(0, I), at least 0.9            85.7 %   0.788      70.5 %   0.425
    q(z | x), any                    98.6 %   0.815      83.5 %   0.377
    q(z | x), at least 0.9           99.1 %   0.820      92.8 %   0.380
    the same, 20 components          99.2 %   0.811      92.7 %   0.359
"""

import numpy as np
import torch
from torch import Tensor

from model_store.class_latents import ClassLatents, GaussianMixture
from model_store.vae import TrainedVAE
from training.evaluation.gaussian_mixture import Covariance, fit_mixture

MIN_CLASS_PROBABILITY = 0.9
"""Smallest p(class | z) of a latent that is sampled for a class."""
STD_SCALE = 1.1
"""Factor by which the fitted standard deviations of a component are multiplied."""
MAX_COMPONENTS = 10
MAX_BYTES = 300_000
"""Size of the mixtures of all classes together, in the store's 16 bits."""
IMAGES_PER_DIMENSION = 5
"""Images that a component needs per latent dimension; with fewer, its covariance is mostly the
posterior's sigma."""


def fit_class_mixtures(
    mu: Tensor,
    logvar: Tensor,
    labels: Tensor,
    *,
    components: int | None = None,
    covariance: Covariance = "full",
    before_flow: bool = False,
    seed: int = 0,
) -> ClassLatents:
    """Fit one mixture to the posteriors of each class, in the order of the labels.

    mu, logvar (images, latent), labels (images,); every class must occur. `before_flow` is True if mu and
    logvar are those of q(z | x) under a flow. None chooses `affordable_components`.
    """
    variance = logvar.exp()
    counts = torch.bincount(labels)
    if components is None:
        components = affordable_components(int(counts.min()), mu.shape[1], len(counts))
    fitted = tuple(
        fit_mixture(
            mu[labels == label],
            variance[labels == label],
            components=components,
            covariance=covariance,
            seed=seed,
        )
        for label in range(len(counts))
    )
    return ClassLatents(
        tuple(_widened(mixture) for mixture in fitted), MIN_CLASS_PROBABILITY, before_flow
    )


def _widened(mixture: GaussianMixture) -> GaussianMixture:
    return GaussianMixture(mixture.weights, mixture.means, STD_SCALE * mixture.factors)


def latents_of_class(
    vae: TrainedVAE, classes: ClassLatents, label: int, n: int, noise: torch.Generator
) -> Tensor:
    """Sample n latents of a class in the space of N(0, I), on the CPU; (n, latent), float32."""
    z = draw_of_class(classes, label, n, noise)
    return vae.to_u(z.to(vae.device)).cpu() if classes.before_flow else z


def draw_of_class(classes: ClassLatents, label: int, n: int, noise: torch.Generator) -> Tensor:
    """Sample n latents of a class in the space of its mixture; (n, latent), float32."""
    shape = (n, classes.max_draws)
    uniforms = torch.rand(shape, generator=noise, dtype=torch.float64).tolist()
    latent = classes[label].latent
    eps = torch.randn((*shape, latent), generator=noise, dtype=torch.float64).numpy()
    drawn = [classes.draw(label, *one) for one in zip(uniforms, eps, strict=True)]
    return torch.from_numpy(np.stack(drawn)).float()


def affordable_components(images: int, latent: int, classes: int) -> int:
    """Return the largest number of components of a class, 1 to MAX_COMPONENTS.

    Limited by the number of images of the smallest class and by MAX_BYTES for all classes.
    """
    bytes_per_component = 2 * (latent + latent * (latent + 1) // 2) * classes
    by_images = images // (IMAGES_PER_DIMENSION * latent)
    return max(1, min(MAX_COMPONENTS, by_images, MAX_BYTES // bytes_per_component))
