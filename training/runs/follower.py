"""Train beside the first of several processes, which alone reports, writes and publishes."""

import json
from dataclasses import dataclass, replace

from model_store.spec import ModelRef
from training.config import Preset
from training.data import loading
from training.data.images import sha256
from training.devices import choose_device, matmul_precision
from training.errors import RunError
from training.fitting.data_parallel import Processes
from training.fitting.trainer import Trainer, initialise
from training.runs import checkpoint
from training.runs.job import Job
from training.runs.start import find_start, load_start


@dataclass(frozen=True)
class Course:
    """Preset, images and finished epochs, in which all processes of a training must agree.

    Attributes:
        preset: The preset without `auto`.
        data_sha256: SHA-256 of the images.
        epochs: Number of epochs that were done before.
    """

    preset: Preset
    data_sha256: str
    epochs: int

    def to_json(self) -> str:
        """Return the course as JSON."""
        fields = {"data_sha256": self.data_sha256, "epochs": self.epochs}
        return json.dumps({"preset": self.preset.model_dump(mode="json"), **fields})

    @classmethod
    def from_json(cls, text: str) -> "Course":
        """Read the JSON of a course."""
        document = json.loads(text)
        return cls(
            Preset.model_validate(document["preset"]), document["data_sha256"], document["epochs"]
        )


def follow(job: Job, processes: Processes) -> None:
    """Train as another process than the first; raises RunError if its files are not the same."""
    device = choose_device(job.device)
    course = Course.from_json(processes.send(""))
    preset = course.preset
    splits = loading.load(preset.data, job.data_dir, preset.model, download=False)
    if sha256(splits) != course.data_sha256:
        raise RunError(
            f"{job.data_dir} holds other images than on the machine of the first process; give all "
            "processes the same data"
        )
    splits = replace(splits, train=splits.train.to(device), test=splits.test.to(device))
    vae = initialise(preset.model, job.seed)
    if preset.start is not None and not course.epochs:
        load_start(vae, find_start(job.store, ModelRef.parse(preset.start), vae.spec), splits.train)
    trainer = Trainer(
        vae.to(device),
        preset.objective,
        preset.optimiser,
        job.seed,
        preset.compute,
        processes=processes,
    )
    if job.resume:
        trainer.restore(checkpoint.load(job.folder).tensors)
    if trainer.epochs != course.epochs:
        raise RunError(
            f"{job.folder} is at epoch {trainer.epochs}, that of the first process at "
            f"{course.epochs}; give all processes the same --runs-dir"
        )
    with matmul_precision(preset.compute.matmul):
        for _ in trainer.fit(splits.train, splits.test):
            pass
