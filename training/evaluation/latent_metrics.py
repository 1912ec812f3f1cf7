"""Measures of a latent space: pure, deterministic functions of the posteriors of two splits.

mu and logvar are (images, latent), labels (images,) int64.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from model_store.vae import kl_per_dimension

ACTIVE_VARIANCE = 0.01
"""Var_x(E_q[z]) above which a latent dimension is active. Burda et al. 2016, section 5.2."""


def variance_of_means(mu: Tensor) -> Tensor:
    """Return Var_x(mu) of each dimension, over images; (images, latent) -> (latent,)."""
    return mu.double().var(dim=0, correction=0)


def active_units(mu: Tensor) -> int:
    """Count the dimensions whose mu varies between images. Burda et al. 2016, section 5.2."""
    return int((variance_of_means(mu) > ACTIVE_VARIANCE).sum())


def mean_kl_per_dimension(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(q(z_d | x) || N(0, 1)), averaged over images; (latent,), nats, float64."""
    return kl_per_dimension(mu.double(), logvar.double()).mean(dim=0)


@torch.inference_mode(mode=False)
@torch.enable_grad()
def linear_probe_accuracy(
    train_mu: Tensor,
    train_labels: Tensor,
    test_mu: Tensor,
    test_labels: Tensor,
    *,
    l2: float = 1e-4,
    iterations: int = 200,
) -> float:
    """Return the accuracy on the test split of a linear classifier that is fitted to train_mu.

    Multinomial logistic regression on mu scaled to the train split's mean 0 and standard
    deviation 1, with an L2 penalty on the weights (0.5 * l2 * |w|^2 beside the mean cross
    entropy), minimised by L-BFGS from zero.
    """
    classes = int(train_labels.max()) + 1
    # clones: autograd refuses tensors that were made in inference mode
    train_mu, labels = train_mu.clone(), train_labels.clone()
    mean = train_mu.mean(dim=0)
    std = train_mu.std(dim=0).clamp_min(1e-6)  # keeps an inactive dimension near zero
    x, x_test = (train_mu - mean) / std, (test_mu - mean) / std
    weight = torch.zeros(classes, x.shape[1], dtype=x.dtype, device=x.device, requires_grad=True)
    bias = torch.zeros(classes, dtype=x.dtype, device=x.device, requires_grad=True)
    lbfgs = torch.optim.LBFGS(
        [weight, bias],
        max_iter=iterations,
        tolerance_grad=1e-5,
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        lbfgs.zero_grad()
        cross_entropy = F.cross_entropy(F.linear(x, weight, bias), labels)
        loss = cross_entropy + 0.5 * l2 * weight.square().sum()
        torch.autograd.backward(loss)
        return loss

    lbfgs.step(objective)  # type: ignore[no-untyped-call]
    return _accuracy(F.linear(x_test, weight.detach(), bias.detach()).argmax(dim=1), test_labels)


def knn_accuracy(
    train_mu: Tensor,
    train_labels: Tensor,
    test_mu: Tensor,
    test_labels: Tensor,
    *,
    k: int = 5,
    chunk: int = 500,
) -> float:
    """Return the accuracy on the test split of a vote among the k nearest training means.

    Distances are Euclidean. A tie goes to the class whose neighbours are nearer.
    """
    votes = [
        majority_label(train_labels[nearest(part, train_mu, k)])
        for part in torch.split(test_mu, chunk)
    ]
    return _accuracy(torch.cat(votes), test_labels)


def nearest(queries: Tensor, points: Tensor, k: int) -> Tensor:
    """Return the indices of the k points nearest to each query, nearest first; (queries, k)."""
    distances = torch.cdist(queries, points, compute_mode="use_mm_for_euclid_dist")
    return distances.topk(k, largest=False).indices


def nearest_other(points: Tensor, chunk: int = 500) -> Tensor:
    """Return the index of the other point that is nearest to each point; (points,).

    Distances are Euclidean, in float64. Raises ValueError if there is no other point.
    """
    if len(points) < 2:
        raise ValueError(f"a nearest other needs at least 2 points, got {len(points)}")
    points, everything = points.double(), torch.arange(len(points), device=points.device)
    parts = []
    for index in torch.split(everything, chunk):
        distances = torch.cdist(points[index], points)
        distances[index - index[0], index] = torch.inf  # the point itself
        parts.append(distances.argmin(dim=1))
    return torch.cat(parts)


def majority_label(labels: Tensor) -> Tensor:
    """Return the most frequent label of each row; (rows, k), nearest first -> (rows,)."""
    k = labels.shape[1]
    rank = torch.arange(k, device=labels.device)
    weight = 1 + 2.0 ** -(rank + 2)  # breaks ties: all ranks together count less than one vote
    votes = F.one_hot(labels) * weight.unsqueeze(1)
    return votes.sum(dim=1).argmax(dim=1)


def _accuracy(predicted: Tensor, labels: Tensor) -> float:
    return (predicted == labels).double().mean().item()
