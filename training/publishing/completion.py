"""Publish a version again with the measured parts that it lacks, and the same weights.

Versions that were published before zserve measured directions, typicality or latents of test images
get these without being trained or measured again: all of their files and numbers are kept. The latents
of the classes, from which `label=` draws, can be fitted again.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import torch

from model_store.class_latents import NO_CLASSES, ClassLatents
from model_store.directions import NO_DIRECTIONS, Directions
from model_store.encoded_images import EncodedImages
from model_store.spec import Description, DirectionTable, Manifest, Metric
from model_store.store import ENCODED_IMAGES, TYPICALITY, Store, StoredModel
from model_store.typicality import Typicality
from model_store.vae import TrainedVAE
from training.classifier.model import Judge, judge_for
from training.data.images import Splits
from training.errors import DataError, SettingError
from training.evaluation import classifier_metrics, typicality
from training.evaluation.directions import dataset_name, find_directions
from training.evaluation.encoded_images import encoded_images
from training.evaluation.evaluate import fit_classes, has_every_class, latent_statistics
from training.evaluation.posteriors import Posteriors, posteriors
from training.evaluation.verify import check_latents
from training.publishing import figures, model_card

DIRECTIONS = "directions"
CLASSES = "classes"
"""Name of the figure that shows images of each class."""


@dataclass(frozen=True)
class Parts:
    """Measured parts that a version lacks; empty are those that it has or that its data cannot give."""

    directions: Directions = NO_DIRECTIONS
    table: DirectionTable | None = None
    """Effects of `directions`."""
    typicality: Typicality | None = None
    metrics: dict[str, Metric] | None = None
    """How well the score of `typicality` separates other kinds of images from test images, and how
    right the classes of `class_latents` are."""
    encoded_images: EncodedImages | None = None
    class_latents: ClassLatents = NO_CLASSES
    figures: Mapping[str, bytes] = field(default_factory=dict)
    """Figures that show `class_latents`."""

    @property
    def empty(self) -> bool:
        """Return True if nothing was measured."""
        measured = (self.directions, self.typicality, self.encoded_images, self.class_latents)
        return not any(measured)


def missing_parts(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the parts that can be measured, and that a version lacks."""
    files = [name for name in (TYPICALITY, ENCODED_IMAGES) if name not in manifest.files]
    return tuple(files if manifest.directions is not None else [DIRECTIONS, *files])


@torch.no_grad()
def measure_missing(
    stored: StoredModel,
    vae: TrainedVAE,
    splits: Splits,
    report: Callable[[str], None],
    *,
    classes: bool = False,
) -> Parts:
    """Measure the parts that a version lacks; `report` is called with the name of each stage.

    `vae` is that of the version, on the device of the images. `classes` fits the latents of the classes
    again. Raises DataError if the images are not those that the version was measured on, and
    SettingError if these have no classes to fit.
    """
    missing = missing_parts(stored.manifest)
    report("latents of the test split")
    test = posteriors(vae, splits.test)
    _check_same_data(stored.manifest, splits, test)
    directions, table = NO_DIRECTIONS, None
    record = stored.manifest.training
    needs_judge = classes or DIRECTIONS in missing
    judge = judge_for(record, vae, splits.classes) if needs_judge else None
    if DIRECTIONS in missing:
        report("directions")
        measured = find_directions(vae, splits, dataset_name(record), judge)
        directions, table = measured.vectors, measured.table
    scores = None
    metrics: dict[str, Metric] = {}
    if TYPICALITY in missing:
        report("images of other kinds")
        scores = typicality.fit(vae, splits)
        metrics |= typicality.measure(vae, splits, scores)
    encoded = encoded_images(splits.test, test) if ENCODED_IMAGES in missing else None
    class_latents = NO_CLASSES
    drawn: dict[str, bytes] = {}
    if classes:
        class_latents, of_classes, drawn = _classes(stored.manifest, vae, splits, judge, report)
        metrics |= of_classes
    return Parts(directions, table, scores, metrics, encoded, class_latents, drawn)


def _classes(
    manifest: Manifest,
    vae: TrainedVAE,
    splits: Splits,
    judge: Judge | None,
    report: Callable[[str], None],
) -> tuple[ClassLatents, dict[str, Metric], dict[str, bytes]]:
    """Fit the latents of the classes; returns them, what the judge says of them, and their figure."""
    if not has_every_class(splits) or splits.classes is None:
        raise SettingError(f"{manifest.ref}: its data set has no classes of enough images to fit")
    fitted = fit_classes(vae, splits, judge, report=report)
    metrics: dict[str, Metric] = {}
    if judge is not None:
        report("classes, by the judge")
        metrics = classifier_metrics.measure_classes(vae, judge, splits, fitted.class_latents)
    drawn = {}
    if CLASSES in manifest.figures:
        drawn[CLASSES] = figures.classes(vae, fitted.class_latents, splits.classes)
    return fitted.class_latents, metrics, drawn


def publish_with(
    store: Store, stored: StoredModel, parts: Parts, *, left_out: Collection[str] = ()
) -> Manifest:
    """Publish the next version: the files and numbers of a version, and the parts it lacked.

    The figures `left_out` are not in the new version. Raises StoreError and then leaves the store unchanged.
    """
    manifest = stored.manifest
    changes = {
        "metrics": manifest.metrics | (parts.metrics or {}),
        "directions": parts.table or manifest.directions,
    }
    description = Description(**dict(manifest.description) | changes)
    figures_left = [name for name in manifest.figures if name not in left_out]
    return store.supplement(
        manifest.ref,
        description,
        card=lambda ref: model_card.write(
            ref, description, figures_left, exact=stored.network is not None
        ),
        directions=parts.directions,
        typicality=parts.typicality,
        encoded_images=parts.encoded_images,
        class_latents=parts.class_latents,
        figures={name: png for name, png in parts.figures.items() if name in figures_left},
        left_out=left_out,
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
