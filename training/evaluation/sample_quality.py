"""How good made images are, in the eyes of a judge: pure functions of features and labels.

A number of these means little alone: `compare` gives all of them for two sets of images, and
real against real gives the floor that no model can be expected to pass.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.classifier.model import SURE, Verdict


@dataclass(frozen=True)
class ClassQuality:
    """Of one class; shares in [0, 1]."""

    right: float
    """Share of the made images of this class that the judge gives this class."""
    precision: float
    recall: float


@dataclass(frozen=True)
class Quality:
    """A set of images against a reference set; shares in [0, 1]."""

    sure_share: float
    relative_sure_share: float
    """Of the reference's; 1 where as many images are sure as there."""
    class_distance: float
    """Total variation between the shares of the classes; 0 where balanced as the reference."""
    frechet_distance: float
    """On the judge's features."""
    precision: float
    recall: float


def compare(made: Verdict, reference: Verdict, *, k: int = 3) -> Quality:
    """All measures of made images against reference images, such as the test split.

    Take as many of the one as of the other: the Frechet distance of few images is biased upwards,
    and a k-th neighbour is farther among few.
    """
    precision, recall = precision_and_recall(made.features, reference.features, k=k)
    return Quality(
        sure_share=sure_share(made.confidence),
        relative_sure_share=_relative(
            sure_share(made.confidence), sure_share(reference.confidence)
        ),
        class_distance=total_variation(
            class_shares(made.labels, classes=made.probabilities.shape[1]),
            class_shares(reference.labels, classes=made.probabilities.shape[1]),
        ),
        frechet_distance=frechet_distance(made.features, reference.features),
        precision=precision,
        recall=recall,
    )


def _relative(made: float, reference: float) -> float:
    """0 where the judge is sure of nothing at all."""
    return made / reference if reference else 0.0


def compare_classes(
    made: Verdict, asked: Tensor, reference: Verdict, labels: Tensor, *, k: int = 3
) -> tuple[ClassQuality, ...]:
    """Images made of asked classes (images,) against those of the reference with these labels.

    In the order of the classes of the reference; the same number of images of a class on either
    side makes precision and recall comparable.
    """
    return tuple(
        _class_quality(made[asked == label], reference[labels == label], label, k)
        for label in range(int(labels.max()) + 1)
    )


def label_agreement(a: Verdict, b: Verdict) -> float:
    """Share of images, such as originals and their reconstructions, that get the same label."""
    return (a.labels == b.labels).double().mean().item()


def sure_share(confidence: Tensor) -> float:
    """Share of images whose likeliest class has a probability of SURE or more; (images,)."""
    return (confidence >= SURE).double().mean().item()


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """Share of each class; (images,) -> (classes,), float64, sums to 1."""
    return torch.bincount(labels, minlength=classes).double() / len(labels)


def total_variation(p: Tensor, q: Tensor) -> float:
    """Half the sum of absolute differences of two distributions (classes,); in [0, 1]."""
    return float(0.5 * (p - q).abs().sum())


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared 2-Wasserstein distance of Gaussians fitted to two sets; (images, features) each.

    The formula of Heusel et al. 2017 ("GANs trained by a two time-scale update rule"), who take
    the features of an Inception network and call it FID. These features are the judge's own, so
    it must not be called that, nor compared with any.
    """
    a, b = a.double(), b.double()
    return frechet_distance_of_gaussians(a.mean(dim=0), _cov(a), b.mean(dim=0), _cov(b))


def frechet_distance_of_gaussians(
    mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor
) -> float:
    """|mean_a - mean_b|^2 + tr(cov_a + cov_b - 2 (cov_a cov_b)^(1/2)); >= 0.

    Means (features,), covariances (features, features), float64. Dowson & Landau 1982. The root's
    trace is that of the symmetric (R cov_b R)^(1/2) with R = cov_a^(1/2).
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
    """Share of made images within the real ones' manifold, and the reverse.

    Features (images, features). A set's manifold is the union of balls around its images, each
    as large as the distance to the k-th nearest other image of the set. Kynkaanniemi et al. 2019,
    "Improved precision and recall metric for assessing generative models", eq. 1 and 2.
    """
    precision = share_within(made, real, neighbour_radii(real, k, chunk), chunk)
    recall = share_within(real, made, neighbour_radii(made, k, chunk), chunk)
    return precision, recall


def neighbour_radii(points: Tensor, k: int, chunk: int = 1000) -> Tensor:
    """Distance of each point to its k-th nearest other; (points, features) -> (points,).

    Raises ValueError where there are not k others.
    """
    if len(points) <= k:
        raise ValueError(f"the {k}-th neighbour needs more than {k} images, got {len(points)}")
    radii = [
        torch.cdist(part, points).topk(k + 1, largest=False).values[:, k]  # the first is itself
        for part in torch.split(points, chunk)
    ]
    return torch.cat(radii)


def share_within(queries: Tensor, points: Tensor, radii: Tensor, chunk: int = 1000) -> float:
    """Share of the queries that lie in the ball of at least one point."""
    inside = [
        (torch.cdist(part, points) <= radii).any(dim=1) for part in torch.split(queries, chunk)
    ]
    return torch.cat(inside).double().mean().item()


def halves(verdict: Verdict, seed: int = 0) -> tuple[Verdict, Verdict]:
    """Two random halves of a set, for real against real: `compare(*halves(test))`."""
    order = torch.randperm(len(verdict), generator=torch.Generator().manual_seed(seed))
    middle = len(verdict) // 2
    return verdict[order[:middle]], verdict[order[middle : 2 * middle]]


def _class_quality(made: Verdict, real: Verdict, label: int, k: int) -> ClassQuality:
    precision, recall = precision_and_recall(made.features, real.features, k=k)
    right = (made.labels == label).double().mean().item()
    return ClassQuality(right, precision, recall)


def _cov(features: Tensor) -> Tensor:
    return torch.cov(features.T).reshape(features.shape[1], features.shape[1])


def _symmetric_root(matrix: Tensor) -> Tensor:
    """The symmetric root of a symmetric positive semi-definite matrix, float64."""
    eigenvalues, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * eigenvalues.clamp_min(0).sqrt()) @ vectors.T
    return root
