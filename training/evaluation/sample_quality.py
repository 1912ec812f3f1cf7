"""Quality of generated images, measured by a judge: pure functions of features and labels.

A single number means little: `measure_quality` returns all of them for two sets of images. Real
images against other real images give the best values that a model can be expected to reach.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.classifier.model import SURE_PROBABILITY, Predictions
from training.evaluation.density_coverage import density_and_coverage


@dataclass(frozen=True)
class ClassQuality:
    """Quality of the images generated for one class; shares in [0, 1]."""

    right: float
    """Share of the generated images that the judge assigns to this class."""
    precision: float
    """Share of the generated images within the manifold of the real images of the class."""
    recall: float
    """Share of the real images of the class within the manifold of the generated images."""


@dataclass(frozen=True, eq=False)
class Quality:
    """Quality of a set of images, compared with a reference set; shares in [0, 1]."""

    sure_share: float
    """Share of the images that the judge is sure of."""
    relative_sure_share: float
    """sure_share divided by that of the reference; 0 if the judge is sure of no reference image."""
    class_distance: float
    """Total variation between the two distributions of classes; 0 if they are equal."""
    frechet_distance: float
    """Frechet distance in the judge's features."""
    precision: float
    """Share of the images within the manifold of the reference images."""
    density: float
    """See `DensityCoverage.density`; can be above 1."""
    recalled: Tensor
    """True for each reference image within the manifold of the images; (reference,), bool."""
    covered: Tensor
    """True for each reference image with an image in its neighbourhood; (reference,), bool."""

    @property
    def recall(self) -> float:
        """Share of the reference images within the manifold of the images."""
        return self.recalled.double().mean().item()

    @property
    def coverage(self) -> float:
        """Share of the reference images with an image in their neighbourhood."""
        return self.covered.double().mean().item()


def measure_quality(made: Predictions, reference: Predictions, *, k: int = 3) -> Quality:
    """Compare generated images with reference images, such as the test split.

    Both sets should have the same size: the Frechet distance of few images is biased upwards, and
    a k-th neighbour is farther away in a small set.
    """
    radii = neighbour_radii(reference.features, k)
    placed = density_and_coverage(made.features, reference.features)
    return Quality(
        sure_share=sure_share(made.confidence),
        relative_sure_share=relative_sure_share(made, reference),
        class_distance=total_variation(
            class_shares(made.labels, classes=made.probabilities.shape[1]),
            class_shares(reference.labels, classes=made.probabilities.shape[1]),
        ),
        frechet_distance=frechet_distance(made.features, reference.features),
        precision=share_within(made.features, reference.features, radii),
        density=placed.density,
        recalled=within(reference.features, made.features, neighbour_radii(made.features, k)),
        covered=placed.covered,
    )


def measure_class_quality(
    made: Predictions, asked: Tensor, reference: Predictions, labels: Tensor, *, k: int = 3
) -> tuple[ClassQuality, ...]:
    """Compare the images generated for each class with the reference images of that class.

    `asked` (images,) are the requested classes, `labels` (images,) those of the reference. Returns
    one entry per class, in their order. Both sets should have the same number of images of a class.
    """
    return tuple(
        _class_quality(made[asked == label], reference[labels == label], label, k)
        for label in range(int(labels.max()) + 1)
    )


def label_agreement(a: Predictions, b: Predictions) -> float:
    """Return the share of pairs, such as image and reconstruction, that get the same label."""
    return (a.labels == b.labels).double().mean().item()


def sure_share(confidence: Tensor) -> float:
    """Return the share of images that the judge is sure of; confidence (images,)."""
    return (confidence >= SURE_PROBABILITY).double().mean().item()


def relative_sure_share(made: Predictions, reference: Predictions) -> float:
    """Return the sure share divided by that of the reference; 0 if that one is 0."""
    share = sure_share(reference.confidence)
    return sure_share(made.confidence) / share if share else 0.0


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """Return the share of each class; (images,) -> (classes,), float64, sums to 1."""
    return torch.bincount(labels, minlength=classes).double() / len(labels)


def total_variation(p: Tensor, q: Tensor) -> float:
    """Return half the sum of absolute differences of two distributions (classes,); in [0, 1]."""
    return float(0.5 * (p - q).abs().sum())


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the squared 2-Wasserstein distance of Gaussians fitted to two sets of features.

    a, b (images, features). Heusel et al. 2017 ("GANs trained by a two time-scale update rule")
    apply this formula to features of an Inception network and call it FID. These features are the
    judge's, so the value is not a FID and cannot be compared with one.
    """
    a, b = a.double(), b.double()
    return frechet_distance_of_gaussians(a.mean(dim=0), _cov(a), b.mean(dim=0), _cov(b))


def frechet_distance_of_gaussians(
    mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor
) -> float:
    """Return |mean_a - mean_b|^2 + tr(cov_a + cov_b - 2 (cov_a cov_b)^(1/2)); >= 0.

    Means (features,), covariances (features, features), float64. Dowson & Landau 1982. The trace of
    the root is computed as the one of the symmetric (R cov_b R)^(1/2) with R = cov_a^(1/2).
    """
    root_a = _symmetric_root(cov_a)
    product = root_a @ cov_b @ root_a
    eigenvalues = torch.linalg.eigvalsh(0.5 * (product + product.T))
    root_trace = eigenvalues.clamp_min(0).sqrt().sum()
    squared_distance = (mean_a - mean_b).square().sum()
    distance = squared_distance + cov_a.trace() + cov_b.trace() - 2 * root_trace
    return max(float(distance), 0.0)


def precision_and_recall(
    made: Tensor, real: Tensor, *, k: int = 3, chunk: int = 1000
) -> tuple[float, float]:
    """Return the shares of generated images in the real manifold and of real in the generated.

    Features (images, features). A set's manifold is the union of balls around its images; a radius
    is the distance to the k-th nearest other image of the set. Kynkaanniemi et al. 2019,
    "Improved precision and recall metric for assessing generative models", eq. 1 and 2.
    """
    precision = share_within(made, real, neighbour_radii(real, k, chunk), chunk)
    recall = share_within(real, made, neighbour_radii(made, k, chunk), chunk)
    return precision, recall


def neighbour_radii(points: Tensor, k: int, chunk: int = 1000) -> Tensor:
    """Return each point's distance to its k-th nearest other; (points, features) -> (points,).

    Raises ValueError if there are not k others.
    """
    if len(points) <= k:
        raise ValueError(f"the {k}-th neighbour needs more than {k} images, got {len(points)}")
    radii = [
        torch.cdist(part, points)
        .topk(k + 1, largest=False)
        .values[:, k]  # the nearest is the point itself
        for part in torch.split(points, chunk)
    ]
    return torch.cat(radii)


def share_within(queries: Tensor, points: Tensor, radii: Tensor, chunk: int = 1000) -> float:
    """Return the share of queries that lie in the ball of at least one point."""
    return within(queries, points, radii, chunk).double().mean().item()


def within(queries: Tensor, points: Tensor, radii: Tensor, chunk: int = 1000) -> Tensor:
    """Return True for each query that lies in the ball of at least one point; (queries,), bool."""
    return torch.cat(
        [(torch.cdist(part, points) <= radii).any(dim=1) for part in torch.split(queries, chunk)]
    )


def _class_quality(made: Predictions, real: Predictions, label: int, k: int) -> ClassQuality:
    precision, recall = precision_and_recall(made.features, real.features, k=k)
    right = (made.labels == label).double().mean().item()
    return ClassQuality(right, precision, recall)


def _cov(features: Tensor) -> Tensor:
    return torch.cov(features.T).reshape(features.shape[1], features.shape[1])


def _symmetric_root(matrix: Tensor) -> Tensor:
    """Return the symmetric root of a symmetric positive semi-definite matrix, float64."""
    eigenvalues, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * eigenvalues.clamp_min(0).sqrt()) @ vectors.T
    return root
