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

5. With fewer images than two components need, one Gaussian covers places where no image was encoded.
   The mixture is then the aggregate posterior itself: one component for each image, as wide as
   IMAGE_STD_SCALE times its sigma. 300 discs and squares, 16 latents, 200 samples per class, right by
   the share of the bounding box that is filled:

    one Gaussian of q(z | x)                      43 %
    one Gaussian of N(0, I)                       61 %
    a component per image, 1.1 times its sigma    97 %
    2 times its sigma                             97 %
    3 times its sigma                             96 %
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
IMAGE_STD_SCALE = 2.0
"""Factor by which the sigmas of an image are multiplied if it is a component by itself."""
LEAST_IMAGES = 20
"""Images of a class for which there must be room, if each is a component by itself."""
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

    mu, logvar (images, latent), labels (images,); every class must occur. `components` is their number
    per class; None chooses `affordable_components`, or a component for each image of a small class.
    `before_flow` is True if mu and logvar are those of q(z | x) under a flow.
    """
    variance = logvar.exp()
    counts = torch.bincount(labels)
    if components is None:
        smallest, latent, classes = int(counts.min()), mu.shape[1], len(counts)
        room = MAX_BYTES // _bytes_per_component(latent, classes)
        if smallest < 2 * IMAGES_PER_DIMENSION * latent and room >= LEAST_IMAGES:
            mixtures = (
                _aggregate_posterior(mu[labels == label], logvar[labels == label], room)
                for label in range(classes)
            )
            return ClassLatents(tuple(mixtures), MIN_CLASS_PROBABILITY, before_flow)
        components = affordable_components(smallest, latent, classes)
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


def _aggregate_posterior(mu: Tensor, logvar: Tensor, most: int) -> GaussianMixture:
    """Return a component for each image of a class, or for `most` of them, evenly spaced."""
    if len(mu) > most:
        chosen = torch.linspace(0, len(mu) - 1, most).round().long()
        mu, logvar = mu[chosen], logvar[chosen]
    sigma = IMAGE_STD_SCALE * (0.5 * logvar.double().cpu()).exp()
    weights = np.full(len(mu), 1 / len(mu))
    return GaussianMixture(weights, mu.double().cpu().numpy(), torch.diag_embed(sigma).numpy())


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
    by_images = images // (IMAGES_PER_DIMENSION * latent)
    by_bytes = MAX_BYTES // _bytes_per_component(latent, classes)
    return max(1, min(MAX_COMPONENTS, by_images, by_bytes))


def _bytes_per_component(latent: int, classes: int) -> int:
    """Return the size of a component of each class in the store."""
    return 2 * (latent + latent * (latent + 1) // 2) * classes
