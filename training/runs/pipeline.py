"""One training run from its preset to a published version; says what happens by events."""

import contextlib
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from statistics import median

import torch

from model_store.errors import NotFoundError
from model_store.spec import EpochRecord, Manifest, ModelRef, TrainingRecord
from model_store.store import SHIPPED, Store
from model_store.vae import VAE
from training.config import Preset, differences
from training.data import loading
from training.data.loading import Splits
from training.errors import DeviceError, RunError, SettingError
from training.fitting.trainer import EpochDone, Progress, Trainer, initialise
from training.publishing import provenance
from training.publishing.release import Plan, prepare
from training.runs import checkpoint
from training.runs.run_log import RunLog


class Device(StrEnum):
    """Where to train; auto is the GPU where there is one."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True)
class Job:
    """What to train, from what, and where to."""

    preset_name: str
    preset: Preset
    data_dir: Path
    store: Store
    name: str
    folder: Path
    """Of the run: checkpoints, logs, history.csv."""
    seed: int = 0
    device: Device = Device.AUTO
    plan: Plan = field(default_factory=Plan)
    download: bool = False
    resume: bool = False
    """Go on from the last checkpoint in the folder."""
    restart: bool = False
    """Throw away an unfinished run in the folder."""
    tensorboard: bool = True


@dataclass(frozen=True)
class Started:
    """The data is in memory and the first epoch begins."""

    dataset: str
    images: int
    epochs: int
    weights: int
    device: str
    epochs_behind: int = 0


@dataclass(frozen=True)
class Notice:
    """Something that a person should know and that stops nothing."""

    text: str


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    manifest: Manifest
    images_per_s: float
    """Median over the epochs."""
    peak_bytes: int
    """Of memory: on the GPU where it was used, else of this process."""


@dataclass(frozen=True)
class Measuring:
    """Training is over, and this is being measured or drawn."""

    what: str


Event = Started | Progress | EpochDone | Notice | Measuring


def train(job: Job, report: Callable[[Event], None]) -> Outcome:
    """Train, measure, draw and publish; the same job on the same machine gives the same weights.

    A checkpoint an epoch goes into the run's folder; nothing is published unless all of it
    succeeds. Raises TrainingError, StoreError.
    """
    device = choose_device(job.device)
    provenance.check_destination(job.store, job.name)
    commit = provenance.source_commit()  # now: the code may change while it trains
    past = _past(job)
    preset = job.preset
    splits = loading.load(preset.data, job.data_dir, preset.model, download=job.download)
    for line in splits.notices:
        report(Notice(line))
    progress = checkpoint.Progress(
        preset_name=job.preset_name,
        preset=preset,
        seed=job.seed,
        data_sha256=loading.sha256(splits),
        device=device.type,
        threads=torch.get_num_threads(),
        libraries=provenance.libraries(),
        source_commit=commit,
        history=(),
        duration_s=0.0,
    )
    splits = replace(splits, train=splits.train.to(device), test=splits.test.to(device))
    vae = initialise(preset.model, job.seed)
    if preset.start is not None and past is None:
        _begin_with(vae, job.store, ModelRef.parse(preset.start))
    vae = vae.to(device)
    trainer = Trainer(vae, preset.objective, preset.optimiser, job.seed, preset.compute)
    if past is not None:
        for line in past.damaged:
            report(Notice(f"{line}; going on from epoch {past.progress.epoch}"))
        _check_that_it_is_the_same(job, past.progress, progress)
        trainer.restore(past.tensors)
        progress = past.progress
    else:
        checkpoint.clear(job.folder)
    weights = sum(weight.numel() for weight in vae.parameters())
    epochs = preset.optimiser.epochs
    report(Started(splits.title, len(splits.train), epochs, weights, device.type, progress.epoch))
    if not progress.finished:
        progress = _train(job, trainer, splits, progress, report)

    version = prepare(
        trainer.trained,
        splits,
        _record(job, progress, splits),
        job.plan,
        report=lambda stage: report(Measuring(stage)),
    )
    with _until_done():
        manifest = version.publish(job.store, job.name)
        checkpoint.mark_as_published(job.folder, progress, str(manifest.ref))
    images_per_s = median(done.images_per_s for done in progress.history)
    return Outcome(manifest, images_per_s, _peak_bytes(device))


@contextlib.contextmanager
def _until_done() -> Iterator[None]:
    """Let Ctrl-C pass by: publishing takes a moment, and half of it is nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _train(
    job: Job,
    trainer: Trainer,
    splits: Splits,
    progress: checkpoint.Progress,
    report: Callable[[Event], None],
) -> checkpoint.Progress:
    """Train the epochs that are left, with a checkpoint and a line of the logs after each."""
    started = time.monotonic() - progress.duration_s
    with (
        matmul_precision(job.preset.compute.matmul),
        RunLog(job.folder, progress.history, tensorboard=job.tensorboard) as log,
    ):
        for event in trainer.fit(splits.train, splits.test):
            if isinstance(event, EpochDone):
                duration_s = round(time.monotonic() - started, 1)
                history = (*progress.history, event)
                progress = progress.model_copy(
                    update={"history": history, "duration_s": duration_s}
                )
                checkpoint.save(job.folder, progress, trainer.state())
                log.write(event, trainer.trained)
            report(event)
    return progress


def _begin_with(vae: VAE, store: Store, ref: ModelRef) -> None:
    """Weights of a version, from the store or else shipped; raises StoreError, SettingError."""
    try:
        found = store.load(ref)
    except NotFoundError:
        found = Store(SHIPPED).load(ref)
    weights = {k: v for k, v in vae.state_dict().items() if k.startswith("flow.")}
    weights |= {name: torch.as_tensor(weight) for name, weight in found.weights.items()}
    try:
        vae.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise SettingError(f"start: {ref} does not fit the preset's model: {reason}") from error


@contextlib.contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Within it, matrix products of 32 bits are this exact; afterwards as before."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _past(job: Job) -> checkpoint.Checkpoint | None:
    """What to go on from; raises RunError where resuming or starting would lose something."""
    if job.resume:
        if checkpoint.peek(job.folder) is None:
            raise RunError(f"--resume: no checkpoint in {job.folder}; train without --resume")
        return checkpoint.load(job.folder)
    there = checkpoint.peek(job.folder)
    if there is not None and there.published is None and not job.restart:
        raise RunError(
            f"{job.folder} holds a run of {there.preset_name} that was not published, at epoch "
            f"{there.epoch} of {there.preset.optimiser.epochs}; go on with --resume, throw it "
            "away with --restart, or choose another --runs-dir"
        )
    return None


def _check_that_it_is_the_same(
    job: Job, past: checkpoint.Progress, now: checkpoint.Progress
) -> None:
    """Raises RunError where going on would give what neither run would have given."""
    for what, before, after in (
        ("preset", past.preset_name, now.preset_name),
        ("seed", past.seed, now.seed),
        ("device", past.device, now.device),
        ("data", past.data_sha256[:12], now.data_sha256[:12]),
        *differences(past.preset, now.preset),
    ):
        if before != after:
            raise RunError(
                f"--resume: the run in {job.folder} has {what} {before}, now it is {after}; ask "
                "for the same, or choose another --runs-dir"
            )


def _record(job: Job, progress: checkpoint.Progress, splits: Splits) -> TrainingRecord:
    return TrainingRecord(
        preset=job.preset_name,
        dataset=splits.title,
        seed=job.seed,
        epochs=progress.epoch,
        settings=progress.preset.model_dump(mode="json") | {"threads": progress.threads},
        device=progress.device,
        duration_s=progress.duration_s,
        libraries=progress.libraries,
        source_commit=progress.source_commit,
        history=tuple(_epoch_record(done) for done in progress.history),
    )


def _epoch_record(done: EpochDone) -> EpochRecord:
    averages = {"train": done.train, "test": done.test}
    return EpochRecord(
        epoch=done.epoch,
        **{f"{k}_{part}": n for k, a in averages.items() for part, n in asdict(a).items()},
    )


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def choose_device(device: Device) -> torch.device:
    """The device to train on; raises DeviceError where a GPU was asked for and there is none."""
    available = torch.cuda.is_available()
    if device is Device.CUDA and not available:
        raise DeviceError(
            "--device cuda: PyTorch sees no GPU on this machine; use --device cpu or auto"
        )
    return torch.device("cuda" if available and device is not Device.CPU else "cpu")
