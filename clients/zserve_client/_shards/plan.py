"""The plan of a job: which images are in which shard, under which names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from zserve_client._export import ExportOptions, make_plan
from zserve_client._requests import Request, post, version_request
from zserve_client._responses import check, read_image, read_version
from zserve_client._results import SEED_COUNT
from zserve_client._steps import Steps
from zserve_client.errors import InputError

FORMAT = "zserve-shards-1"
KEY_DIGITS, SHARD_DIGITS = 9, 6


@dataclass(frozen=True)
class JobOptions(ExportOptions):
    """The arguments of a job.

    Attributes:
        shard_images: Number of images in a shard, of all labels together.
    """

    shard_images: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n > SEED_COUNT:
            raise InputError(f"n is {self.n}; there are {SEED_COUNT} seeds, so images would repeat")
        if self.shard_images < 1:
            raise InputError(f"a shard of {self.shard_images} images is empty; ask for at least 1")


@dataclass(frozen=True)
class JobPlan:
    """The arguments of a job, with the weights, seed and classes that the service chose.

    Attributes:
        model: `name@version`.
        weights_sha256: SHA-256 of the weights, in hexadecimal. Every reply must have it.
        exact: True if the images are the same on every machine. The images of other versions
            depend on the kind of the machine that serves them.
        seed: Seed of the first image of each label.
        labels: Names of the classes; a single None for images without a label.
        class_indices: Index of each label among the classes of the model.
    """

    options: JobOptions
    model: str
    weights_sha256: str
    exact: bool
    seed: int
    labels: Sequence[str | None]
    class_indices: Sequence[int | None]

    @property
    def images(self) -> int:
        """Return the number of images of all labels."""
        return self.options.n * len(self.labels)

    @property
    def images_of_a_label(self) -> int:
        """Return the number of images of each label in a shard; the last shard may have fewer."""
        return max(1, self.options.shard_images // len(self.labels))

    @property
    def shard_count(self) -> int:
        """Return the number of shards."""
        return math.ceil(self.options.n / self.images_of_a_label)

    @property
    def name(self) -> str:
        """Return the part of a shard's name before its number."""
        return self.model.replace("@", "-")

    def shard(self, number: int) -> Shard:
        """Return the shard with this number, from 0."""
        first = number * self.images_of_a_label
        digits = max(SHARD_DIGITS, len(str(self.shard_count - 1)))
        return Shard(
            plan=self,
            number=number,
            name=f"{self.name}-{number:0{digits}d}",
            first=first,
            count=min(self.images_of_a_label, self.options.n - first),
        )

    def to_json(self) -> bytes:
        """Return the content of job.json."""
        document = asdict(self)
        document = {"format": FORMAT, "asked": document.pop("options"), **document}
        return json.dumps(document, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes, place: object) -> Self:
        """Read the content of job.json; raises InputError, which names the place."""
        try:
            document = json.loads(content)
            readable = document.pop("format") == FORMAT
            options = JobOptions(**document.pop("asked")) if readable else None
            plan = None if options is None else cls(options=options, **document)
        except (ValueError, KeyError, TypeError, AttributeError):
            plan = None
        if plan is None:
            raise InputError(
                f"{place} is not the plan of a job that this version can continue; choose another "
                "place for the shards"
            )
        return plan

    def grows_to(self, options: JobOptions) -> bool:
        """Return True if a job with these arguments is this one, with more images."""
        return options.n > self.options.n and replace(self.options, n=options.n) == options

    def check_options(self, options: JobOptions, place: object) -> None:
        """Raise InputError if a job with other arguments is in this place."""
        changes = [
            f"{field.name} {getattr(self.options, field.name)!r}, "
            f"not {getattr(options, field.name)!r}"
            for field in fields(options)
            if getattr(self.options, field.name) != getattr(options, field.name)
        ]
        if changes:
            raise InputError(
                f"{place} holds another job ({'; '.join(changes)}); choose another place, or change "
                "nothing but n to a larger number"
            )


@dataclass(frozen=True)
class Shard:
    """Some consecutive seeds, with one image for each seed and label.

    Attributes:
        number: Number of the shard, from 0.
        name: Name without a suffix.
        first: Index of the first image of each label; image i has the seed of the plan + i.
        count: Number of images of each label.
    """

    plan: JobPlan
    number: int
    name: str
    first: int
    count: int

    @property
    def file(self) -> str:
        """Return the name of the tar file."""
        return f"{self.name}.tar"

    @property
    def record_file(self) -> str:
        """Return the name of the file that says that the shard is whole."""
        return f"records/{self.name}.json"

    @property
    def images(self) -> int:
        """Return the number of images of all labels."""
        return self.count * len(self.plan.labels)

    def key(self, i: int, class_index: int | None) -> str:
        """Return the key of image i of a label; no other image of the job has it."""
        number = f"{i:0{KEY_DIGITS}d}"
        return number if class_index is None else f"{number}-{class_index}"

    def request(self, label: str | None, first: int, count: int) -> Request:
        """Return the request for `count` images of a label from image `first`, as a zip archive."""
        plan = self.plan
        samples = {"n": count, "seed": (plan.seed + first) % SEED_COUNT, "model": plan.model}
        output = {
            "label": label,
            "temperature": plan.options.temperature,
            "scale": plan.options.scale,
            "metadata": plan.options.metadata,
            "format": "zip",
        }
        return post("/generate", samples, output)

    def record(self, size: int, sha256: str) -> Mapping[str, Any]:
        """Return what the index says about the shard; url, nsamples and filesize as in `wids`."""
        return {
            "url": self.file,
            "nsamples": self.images,
            "filesize": size,
            "sha256": sha256,
            "first_seed": (self.plan.seed + self.first) % SEED_COUNT,
            "seeds": self.count,
        }


def make_job_plan(options: JobOptions) -> Steps[JobPlan]:
    """Request one image of each label, to learn the weights, the seed and the class names."""
    asked = {name: getattr(options, name) for name in ExportOptions.__dataclass_fields__}
    plan = yield from make_plan(ExportOptions(**asked))
    version = read_version(check((yield version_request(plan.model))))
    sample = {"n": 1, "seed": plan.seed, "model": plan.model, "label": plan.labels[0]}
    image = read_image(check((yield post("/generate", sample))))
    classes = list(version.classes)
    return JobPlan(
        options=options,
        model=plan.model,
        weights_sha256=image.weights_sha256,
        exact="exact.safetensors" in version.manifest.get("files", {}),
        seed=plan.seed,
        labels=plan.labels,
        class_indices=[None if label is None else classes.index(label) for label in plan.labels],
    )


def index_json(plan: JobPlan, records: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the content of index.json, in the format of the indices of `wids`."""
    asked = asdict(plan.options)
    document = {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "name": plan.name,
        "zserve": {
            "model": plan.model,
            "weights_sha256": plan.weights_sha256,
            "exact": plan.exact,
            "seed": plan.seed,
            "labels": plan.labels,
            "class_indices": plan.class_indices,
            **{name: asked[name] for name in ("n", "temperature", "scale", "metadata")},
        },
        "shardlist": records,
    }
    return json.dumps(document, indent=1).encode() + b"\n"
