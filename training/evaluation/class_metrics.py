"""Samples by class: which classes a model makes, and how much of each class its samples cover."""

from model_store.spec import Metric
from training.classifier.model import Predictions
from training.data.images import Splits
from training.evaluation.metrics import share_metric
from training.evaluation.sample_quality import Quality, class_shares

COLUMNS = {
    "test_share": "share of test images",
    "samples_share": "share of samples",
    "samples_recall": "recalled",
    "samples_coverage": "covered",
    "label_right": "label right",
    "label_precision": "label precision",
    "label_recall": "label recall",
}
"""Metrics that are measured for each class, and the headings of their columns in a card."""


def by_class(metric: str, name: str) -> str:
    """Return the name of a metric of one class, such as `label_right[Bag]`."""
    return f"{metric}[{name}]"


def class_tolerance(images: int) -> float:
    """Return the tolerance of a share of the images of one class, which lets two images differ."""
    return max(0.004, 2.5 / images)


def samples_by_class(
    quality: Quality, samples: Predictions, real: Predictions, splits: Splits
) -> dict[str, Metric]:
    """Measure samples by class; `quality` is that of `samples` against the test images, `real`.

    Shares are of the classes that the judge assigns, also to test images: half the sum of their
    differences is `samples_class_distance`. Recall and coverage are over the test images that truly
    have the class. Returns nothing without labels, or if a class has no test image.
    """
    names, labels = splits.classes, splits.test.labels
    if names is None or labels is None:
        return {}
    counts = labels.cpu().bincount(minlength=len(names)).tolist()
    if min(counts) == 0:
        return {}
    samples_shares = class_shares(samples.labels, classes=len(names))
    test_shares = class_shares(real.labels, classes=len(names))
    assigned, test = "share that the judge assigns to this class", f"of {splits.title}"
    metrics = {}
    for label, (name, count) in enumerate(zip(names, counts, strict=True)):
        chosen = labels.cpu() == label
        measured = {
            "test_share": (test_shares[label], f"{assigned}; test images {test}"),
            "samples_share": (
                samples_shares[label],
                f"{assigned}; samples as for samples_recall, as many as test images {test}",
            ),
            "samples_recall": (
                quality.recalled[chosen].double().mean(),
                f"as samples_recall, over the {count:,} test images {test} of this class",
            ),
            "samples_coverage": (
                quality.covered[chosen].double().mean(),
                f"as samples_coverage, over the {count:,} test images {test} of this class",
            ),
        }
        for metric, (value, protocol) in measured.items():
            metrics[by_class(metric, name)] = share_metric(
                float(value), protocol, tolerance=class_tolerance(count)
            )
    return metrics
