"""The README of a version on the hub: a header that the hub reads, and the version's card."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from model_store.spec import Manifest, Metric

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

TASK = "unconditional-image-generation"

DATASETS: Mapping[str, str] = {
    "mnist": "ylecun/mnist",
    "fashion-mnist": "zalando-datasets/fashion_mnist",
}
"""Name of a data set in a manifest, in lower case -> its name on the hub; others are left out."""

_METRICS = {
    "samples_frechet_distance": "Frechet distance of samples, features of the judge (not FID)",
    "samples_relative_sure_share": "Recognisable samples, relative to test images",
    "samples_coverage": "Coverage of the test images by samples",
    "samples_precision": "Precision of samples",
    "samples_recall": "Recall of samples",
    "test_negative_elbo": "-ELBO, nats per image",
    "test_nll": "-ln p(x), importance sampling, nats per image",
    "test_kl": "KL(q(z | x) || p(z)), nats per image",
    "reconstruction_label_agreement": "Reconstructions that keep their class",
    "active_units": "Active latent dimensions",
}
"""Metric of a manifest -> its title on the hub; those that the version has are shown."""


def readme(manifest: Manifest, card: str, license_id: str) -> str:
    """Return README.md: a header in YAML with licence, library, task, data sets and metrics."""
    from huggingface_hub import ModelCardData  # noqa: PLC0415 - optional

    dataset = DATASETS.get(manifest.training.dataset.lower())
    data = ModelCardData(
        license=license_id,
        library_name="zserve",
        pipeline_tag=TASK,
        tags=["vae", "image-generation", "zserve", f"arithmetic:{manifest.arithmetic}"],
        datasets=None if dataset is None else [dataset],
        model_name=manifest.name,
        eval_results=list(_results(manifest, dataset)) or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{card.strip()}\n\n{_usage(manifest)}"


def _results(manifest: Manifest, dataset: str | None) -> "Iterator[EvalResult]":
    """Yield the metrics that the hub shows; their protocols are in manifest.json."""
    from huggingface_hub import EvalResult  # noqa: PLC0415 - optional

    for name, title in _METRICS.items():
        metric: Metric | None = manifest.metrics.get(name)
        if metric is not None:
            yield EvalResult(
                task_type=TASK,
                dataset_type=dataset or manifest.training.dataset,
                dataset_name=manifest.training.dataset,
                metric_type=name,
                metric_name=title,
                metric_value=metric.value,
            )


def _usage(manifest: Manifest) -> str:
    return (
        "## Use it\n\n"
        "    pip install 'zserve[hub]'\n"
        "    zserve models pull hf://OWNER/REPOSITORY\n\n"
        "    from zserve import load\n"
        f'    images = load("{manifest.ref}").sample(16, seed=7)\n\n'
        "`sha256sum --check SHA256SUMS` checks the files without zserve. No file holds code.\n"
    )
