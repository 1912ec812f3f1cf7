"""Compare several versions: a table of their numbers, the effect of beta, and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from model_store.sample_quality import best_samples, sample_quality
from model_store.spec import Manifest
from model_store.store import StoredModel
from training.evaluation.served import served_vae
from training.publishing import figures, score_figures

METRICS = (
    "test_negative_elbo",
    "test_reconstruction",
    "test_kl",
    "test_nll",
    "test_bits_per_dimension",
    "active_units",
    "linear_probe_accuracy",
    "knn_accuracy",
    "reconstruction_label_agreement",
    "samples_relative_sure_share",
    "samples_class_distance",
    "samples_frechet_distance",
    "samples_precision",
    "samples_recall",
    "samples_density",
    "samples_coverage",
    "midpoints_frechet_distance",
    "neighbour_midpoints_frechet_distance",
    "label_right",
    "label_recall",
)
"""Rows of the table, in this order; metrics that no version has are left out."""


@dataclass(frozen=True)
class Row:
    """One metric of all versions; None for a version that does not have it."""

    name: str
    unit: str
    values: tuple[float | None, ...]


def table(manifests: Sequence[Manifest]) -> list[Row]:
    """Return a row for beta and for each metric that at least one version has."""
    rows = [
        Row(
            "beta",
            "weight of the KL in the loss",
            tuple(beta(manifest) for manifest in manifests),
        )
    ]
    for name in METRICS:
        metrics = [manifest.metrics.get(name) for manifest in manifests]
        units = [metric.unit for metric in metrics if metric is not None]
        if units:
            values = tuple(None if metric is None else metric.value for metric in metrics)
            rows.append(Row(name, units[0], values))
    return rows


def beta(manifest: Manifest) -> float | None:
    """Return the beta that a version was trained with, or None if its manifest has none."""
    objective = manifest.training.settings.get("objective")
    value = objective.get("beta") if isinstance(objective, dict) else None
    return float(value) if isinstance(value, (int, float)) else None


def effect_of_beta(manifests: Sequence[Manifest]) -> list[str]:
    """Return a sentence for each two versions with neighbouring, different values of beta."""
    comparable = [m for m in manifests if beta(m) is not None and "test_kl" in m.metrics]
    comparable.sort(key=lambda manifest: beta(manifest) or 0.0)
    return [_sentence(a, b) for a, b in pairwise(comparable) if beta(a) != beta(b)]


def _sentence(low: Manifest, high: Manifest) -> str:
    changes = [
        _change(low, high, "test_kl", "nats of KL"),
        _change(low, high, "active_units", "active units", digits=0),
        _change(low, high, "test_reconstruction", "nats of reconstruction"),
        _change(low, high, "test_negative_elbo", "nats of -ELBO"),
        _change(low, high, "samples_frechet_distance", "Frechet distance of samples"),
        _change(low, high, "samples_precision", "precision", digits=3),
        _change(low, high, "samples_recall", "recall", digits=3),
        _change(low, high, "linear_probe_accuracy", "linear probe", digits=3),
    ]
    measured = ", ".join(change for change in changes if change)
    return f"beta {beta(low):g} -> {beta(high):g} ({low.ref} -> {high.ref}): {measured}"


def _change(low: Manifest, high: Manifest, name: str, words: str, digits: int = 2) -> str:
    if name not in low.metrics or name not in high.metrics:
        return ""
    a, b = low.metrics[name].value, high.metrics[name].value
    return f"{b - a:+.{digits}f} {words} ({a:.{digits}f} to {b:.{digits}f})"


def ranking(manifests: Sequence[Manifest]) -> str:
    """Return a sentence that names the version with the best samples, or why none is the best."""
    datasets = dict.fromkeys(manifest.training.dataset for manifest in manifests)
    if len(datasets) > 1:
        names = ", ".join(datasets)
        return f"samples not ranked: scores of different data sets cannot be compared ({names})"
    qualities = {str(manifest.ref): sample_quality(manifest) for manifest in manifests}
    unmeasured = [ref for ref, quality in qualities.items() if quality is None]
    if unmeasured:
        return f"samples not ranked: those of {', '.join(unmeasured)} were not measured"
    best = ", ".join(
        f"{ref} (Frechet distance {quality.frechet_distance:.2f}, "
        f"{100 * quality.recognisable:.0f} % as recognisable as real images)"
        for ref, quality in qualities.items()
        if quality is not None and ref in best_samples(qualities)
    )
    return f"best samples: {best}" if best else "samples not ranked: there is one version"


def draw(models: Mapping[str, StoredModel]) -> dict[str, bytes]:
    """Draw curves, samples, traversals and scores; file name without suffix -> PNG.

    Curves need a recorded history. Samples and traversals need images of the same shape in all
    versions, and scores the same data set; they are left out otherwise.
    """
    histories = {
        name: model.manifest.training.history
        for name, model in models.items()
        if model.manifest.training.history
    }
    drawn = {"curves": figures.compared_curves(histories)} if histories else {}
    shapes = {model.manifest.spec.image.shape for model in models.values()}
    if len(shapes) == 1:
        vaes = {name: served_vae(model) for name, model in models.items()}
        drawn["samples"] = figures.compared_samples(vaes)
        kl_nats = {
            name: model.manifest.latents.kl_nats
            for name, model in models.items()
            if model.manifest.latents is not None
        }
        measured = {name: vaes[name] for name in kl_nats}
        if measured:
            drawn["traversals"] = figures.compared_traversals(measured, kl_nats)
    return drawn | _draw_scores([model.manifest for model in models.values()])


def _draw_scores(manifests: Sequence[Manifest]) -> dict[str, bytes]:
    if len({manifest.training.dataset for manifest in manifests}) > 1:
        return {}
    versions = {str(manifest.ref): manifest.metrics for manifest in manifests}
    classes = manifests[0].classes
    drawn = {
        "scores": score_figures.compared_scores(versions),
        "classes": score_figures.compared_classes(versions, classes) if classes else None,
    }
    return {name: png for name, png in drawn.items() if png is not None}
