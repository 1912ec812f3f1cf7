"""Publish a version again with the measured parts that it lacks, and the same weights.

Versions that were published before zserve measured directions, typicality or latents of test images
get these without being trained or measured again: all of their files and numbers are kept.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from model_store.directions import NO_DIRECTIONS, Directions
from model_store.encoded_images import EncodedImages
from model_store.spec import Description, DirectionTable, Manifest, Metric
from model_store.store import ENCODED_IMAGES, TYPICALITY, Store, StoredModel
from model_store.typicality import Typicality
from model_store.vae import TrainedVAE
from training.classifier.model import judge_for
from training.data.images import Splits
from training.errors import DataError
from training.evaluation import typicality
from training.evaluation.directions import dataset_name, find_directions
from training.evaluation.encoded_images import encoded_images
from training.evaluation.evaluate import latent_statistics
from training.evaluation.posteriors import Posteriors, posteriors
from training.evaluation.verify import check_latents
from training.publishing import model_card

DIRECTIONS = "directions"


@dataclass(frozen=True)
class Parts:
    """Measured parts of a version; those that it has, or whose data set tells nothing, are empty."""

    directions: Directions = NO_DIRECTIONS
    table: DirectionTable | None = None
    """Effects of `directions`."""
    typicality: Typicality | None = None
    metrics: dict[str, Metric] | None = None
    """How well the score of `typicality` separates other kinds of images from test images."""
    encoded_images: EncodedImages | None = None

    @property
    def empty(self) -> bool:
        """Return True if nothing was measured."""
        return not (self.directions or self.typicality or self.encoded_images)


def missing_parts(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the parts that can be measured, and that a version lacks."""
    files = [name for name in (TYPICALITY, ENCODED_IMAGES) if name not in manifest.files]
    return tuple(files if manifest.directions is not None else [DIRECTIONS, *files])


@torch.no_grad()
def measure_missing(
    stored: StoredModel, vae: TrainedVAE, splits: Splits, report: Callable[[str], None]
) -> Parts:
    """Measure the parts that a version lacks; `report` is called with the name of each stage.

    `vae` is that of the version, on the device of the images. Raises DataError if the images are not
    those that the version was measured on.
    """
    missing = missing_parts(stored.manifest)
    report("latents of the test split")
    test = posteriors(vae, splits.test)
    _check_same_data(stored.manifest, splits, test)
    directions, table = NO_DIRECTIONS, None
    if DIRECTIONS in missing:
        report("directions")
        record = stored.manifest.training
        judge = judge_for(record, vae, splits.classes)
        measured = find_directions(vae, splits, dataset_name(record), judge)
        directions, table = measured.vectors, measured.table
    scores, metrics = None, None
    if TYPICALITY in missing:
        report("images of other kinds")
        scores = typicality.fit(vae, splits)
        metrics = typicality.measure(vae, splits, scores)
    encoded = encoded_images(splits.test, test) if ENCODED_IMAGES in missing else None
    return Parts(directions, table, scores, metrics, encoded)


def publish_with(store: Store, stored: StoredModel, parts: Parts) -> Manifest:
    """Publish the next version: the files and numbers of a version, and the parts it lacked.

    Raises StoreError and then leaves the store unchanged.
    """
    manifest = stored.manifest
    changes = {
        "metrics": manifest.metrics | (parts.metrics or {}),
        "directions": parts.table or manifest.directions,
    }
    description = Description(**dict(manifest.description) | changes)
    return store.supplement(
        manifest.ref,
        description,
        card=lambda ref: model_card.write(
            ref, description, manifest.figures, exact=stored.network is not None
        ),
        directions=parts.directions,
        typicality=parts.typicality,
        encoded_images=parts.encoded_images,
    )


def _check_same_data(manifest: Manifest, splits: Splits, test: Posteriors) -> None:
    """Raise DataError if the latents of the test images are not those that the manifest states."""
    for check in check_latents(manifest, latent_statistics(test)):
        if not check.agrees:
            raise DataError(
                f"these {len(splits.test):,} test images of {splits.title} are not those that "
                f"{manifest.ref} was measured on: {check.name} is {check.recomputed:.4f}, "
                f"the manifest states {check.stated:.4f}; set --data-dir to the folder of those"
            )
