"""The attributes of images: as the data set states them, or measured in the images themselves.

An instrument measures or predicts the attributes of any image, also of images that a model made.
Digits are measured by `digit_measures`. Everything that a data set states, such as the weight of a
font, is predicted by a ridge regression on the features of the judge, or on small grey pixels if
there is none; its R^2 on the test split says how well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from training.classifier.model import Judge, judge_images
from training.data import digit_measures
from training.data.images import Images

Array = NDArray[np.float64]

MEASURED_DATASETS = ("mnist",)
"""Data sets of digits, whose images are measured; names as in presets."""

_PIXELS = 16
"""Height and width to which images are reduced for a regression on pixels."""
_RIDGE = 1e-2
"""Added to the variance of each standardised feature."""


def known_attributes(images: Images, dataset: str) -> dict[str, Array]:
    """Return the attributes of images, (images,), NaN if unknown: stated ones, else measured ones."""
    if images.attributes:
        return {name: values.double().numpy() for name, values in images.attributes.items()}
    if dataset in MEASURED_DATASETS:
        return dict(digit_measures.measure(images.pixels[:, 0].cpu().numpy()))
    return {}


@dataclass(frozen=True)
class Instrument:
    """Measures or predicts the attributes of any images."""

    how: str
    """Description of the way, for the protocol of a metric."""
    stds: Mapping[str, float]
    """Standard deviation of each attribute over training images."""
    tell: Callable[[Tensor], Mapping[str, Array]]
    """x (images, channels, height, width) in [0, 1] -> name -> (images,)."""
    predicts: bool
    """True if attributes are predicted, False if they are measured in the image itself."""

    def r2(self, test: Images) -> dict[str, float]:
        """Return R^2 of the predictions for test images; empty if attributes are measured."""
        if not self.predicts:
            return {}
        few = test.every(-(-len(test) // 2000))
        predicted = self.tell(few.batch(torch.arange(len(few), device=few.pixels.device)))
        scores: dict[str, float] = {}
        for name, values in predicted.items():
            stated = few.attributes[name].double().numpy() if name in few.attributes else None
            has_value = np.isfinite(stated) if stated is not None else np.zeros(0, bool)
            if stated is not None and has_value.sum() > 1 and stated[has_value].std() > 0:
                error = values[has_value] - stated[has_value]
                scores[name] = round(float(1 - (error**2).mean() / stated[has_value].var()), 4)
        return scores


def make_instrument(
    images: Images, values: Mapping[str, Array], judge: Judge | None
) -> Instrument | None:
    """Return the instrument of these attributes, fitted to images and their values if needed.

    Returns None if there are no attributes.
    """
    if not values:
        return None
    stds = {name: float(np.nanstd(each)) for name, each in values.items()}
    if not images.attributes:
        how = "attributes measured in the images as Morpho-MNIST does, Castro et al. 2019"
        return Instrument(how, stds, lambda x: _measured(x, tuple(stds)), predicts=False)
    features = _judge_features(judge) if judge is not None else _pixel_features
    source = "the judge's features" if judge is not None else "pixels"
    how = f"attributes predicted by ridge regression on {source}, fitted to the same images"
    rows = features(images.batch(torch.arange(len(images), device=images.pixels.device)))
    predictors = {
        name: _ridge(rows[has_value], each[has_value])
        for name, each in values.items()
        if (has_value := np.isfinite(each)).any()
    }

    def tell(x: Tensor) -> dict[str, Array]:
        seen = features(x)
        return {name: predict(seen) for name, predict in predictors.items()}

    return Instrument(how, stds, tell, predicts=True)


def _measured(x: Tensor, names: Sequence[str]) -> dict[str, Array]:
    """Return these measures of digits."""
    levels = (x[:, 0] * 255).round().to(torch.uint8).cpu().numpy()
    measures = digit_measures.measure(levels)
    return {name: measures[name] for name in names}


def _judge_features(judge: Judge) -> Callable[[Tensor], Array]:
    def features(x: Tensor) -> Array:
        return np.asarray(judge_images(judge, x).features.double().cpu().numpy())

    return features


def _pixel_features(x: Tensor) -> Array:
    """Return images reduced to _PIXELS, as rows; (images, channels * _PIXELS^2)."""
    parts = [F.adaptive_avg_pool2d(part, _PIXELS).flatten(1) for part in torch.split(x, 500)]
    return np.asarray(torch.cat(parts).double().cpu().numpy())


def _ridge(features: Array, values: Array) -> Callable[[Array], Array]:
    """Return the linear function of features that predicts the values best."""
    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale == 0] = 1.0
    mean = values.mean()
    x = (features - centre) / scale
    variance = x.T @ x / len(x) + _RIDGE * np.eye(x.shape[1])
    weights = np.linalg.solve(variance, x.T @ (values - mean) / len(x))
    return lambda rows: np.asarray((rows - centre) / scale @ weights + mean)
