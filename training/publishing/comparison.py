"""Several versions beside each other: their numbers, their curves, and what beta bought and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from model_store.spec import Manifest
from model_store.store import StoredModel
from model_store.vae import build_vae
from training.publishing import figures

NUMBERS = (
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
    "midpoints_frechet_distance",
    "label_right",
    "label_recall",
)
"""The rows of the table, in this order; those that no version has are left out."""


@dataclass(frozen=True)
class Row:
    """One number of all versions; None where a version has it not."""

    name: str
    unit: str
    values: tuple[float | None, ...]


def table(manifests: Sequence[Manifest]) -> list[Row]:
    """The numbers that at least one version has."""
    rows = [
        Row(
            "beta",
            "weight of the KL in the loss",
            tuple(beta(manifest) for manifest in manifests),
        )
    ]
    for name in NUMBERS:
        metrics = [manifest.metrics.get(name) for manifest in manifests]
        units = [metric.unit for metric in metrics if metric is not None]
        if units:
            values = tuple(None if metric is None else metric.value for metric in metrics)
            rows.append(Row(name, units[0], values))
    return rows


def beta(manifest: Manifest) -> float | None:
    """The beta that a version was trained with, where its manifest says so."""
    objective = manifest.training.settings.get("objective")
    found = objective.get("beta") if isinstance(objective, dict) else None
    return float(found) if isinstance(found, (int, float)) else None


def what_beta_did(manifests: Sequence[Manifest]) -> list[str]:
    """A sentence for each pair of neighbours, by beta, that differ in it."""
    known = [m for m in manifests if beta(m) is not None and "test_kl" in m.metrics]
    known.sort(key=lambda manifest: beta(manifest) or 0.0)
    return [_sentence(a, b) for a, b in pairwise(known) if beta(a) != beta(b)]


def _sentence(low: Manifest, high: Manifest) -> str:
    bought = [_change(low, high, "test_kl", "nats of KL")]
    bought.append(_change(low, high, "active_units", "active units", digits=0))
    cost = [_change(low, high, "test_reconstruction", "nats of reconstruction")]
    cost.append(_change(low, high, "test_negative_elbo", "nats of -ELBO"))
    judged = [
        _change(low, high, "samples_frechet_distance", "Frechet distance of samples"),
        _change(low, high, "samples_precision", "precision", digits=3),
        _change(low, high, "samples_recall", "recall", digits=3),
        _change(low, high, "linear_probe_accuracy", "linear probe", digits=3),
    ]
    return (
        f"beta {beta(low):g} -> {beta(high):g} ({low.ref} -> {high.ref}): "
        f"bought {_joined(bought)}; cost {_joined(cost)}; and {_joined(judged)}"
    )


def _change(low: Manifest, high: Manifest, name: str, words: str, digits: int = 2) -> str:
    if name not in low.metrics or name not in high.metrics:
        return ""
    a, b = low.metrics[name].value, high.metrics[name].value
    return f"{b - a:+.{digits}f} {words} ({a:.{digits}f} to {b:.{digits}f})"


def _joined(parts: Sequence[str]) -> str:
    return ", ".join(part for part in parts if part) or "nothing that was measured"


def draw(models: Mapping[str, StoredModel]) -> dict[str, bytes]:
    """Name -> PNG; samples and traversals only of versions with images of one shape."""
    histories = {
        name: model.manifest.training.history
        for name, model in models.items()
        if model.manifest.training.history
    }
    drawn = {"curves": figures.compared_curves(histories)} if histories else {}
    shapes = {model.manifest.spec.image.shape for model in models.values()}
    if len(shapes) == 1:
        vaes = {name: build_vae(model.spec, model.weights) for name, model in models.items()}
        drawn["samples"] = figures.compared_samples(vaes)
        kl_nats = {
            name: model.manifest.latents.kl_nats
            for name, model in models.items()
            if model.manifest.latents is not None
        }
        known = {name: vaes[name] for name in kl_nats}
        if known:
            drawn["traversals"] = figures.compared_traversals(known, kl_nats)
    return drawn
