"""Sample quality: two numbers of a judge by which versions of one data set are compared.

`recognisable` is the share of samples that the judge is sure of, relative to the test images.
`frechet_distance` is the Frechet distance between samples and test images in the judge's features;
it also grows if the samples lack variety, so that it decides which version is the best one.
"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

from pydantic import Field

from model_store.spec import Frozen, Manifest

NOT_MEASURED = "not measured"

Key = TypeVar("Key", bound=Hashable)


class SampleQuality(Frozen):
    """How good the samples of a version are; comparable only between versions of one data set."""

    dataset: str = Field(description="Data set with whose test images samples were compared.")
    recognisable: float = Field(
        description="Share of samples that the judge is sure of, relative to the test images: 1 if "
        "samples are as recognisable as real images."
    )
    frechet_distance: float = Field(
        description="Frechet distance between samples and test images, in the judge's features; "
        "lower is better."
    )


def sample_quality(manifest: Manifest) -> SampleQuality | None:
    """Return the sample quality of a version, or None if no judge has measured its samples."""
    share = manifest.metrics.get("samples_relative_sure_share")
    distance = manifest.metrics.get("samples_frechet_distance")
    if share is None or distance is None:
        return None
    return SampleQuality(
        dataset=manifest.training.dataset,
        recognisable=share.value,
        frechet_distance=distance.value,
    )


def best_samples(qualities: Mapping[Key, SampleQuality | None]) -> set[Key]:
    """Return the keys of the best version of each data set, by the Frechet distance.

    Versions that were not measured are left out, and so is a data set with one measured version.
    Versions that are equally good are all among the best.
    """
    of_dataset: dict[str, dict[Key, float]] = {}
    for key, quality in qualities.items():
        if quality is not None:
            of_dataset.setdefault(quality.dataset, {})[key] = quality.frechet_distance
    return {
        key
        for distances in of_dataset.values()
        if len(distances) > 1
        for key, distance in distances.items()
        if distance == min(distances.values())
    }
