"""Run a job from its preset to a published version, and report events."""

import contextlib
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from statistics import median

import torch

from model_store.spec import EpochRecord, Family, Manifest, ModelRef, TrainingRecord
from model_store.vae import VAE
from training.available_memory import available_bytes
from training.config import Preset, differences, with_choices
from training.data import loading
from training.data.images import Splits, sha256
from training.devices import choose_device, matmul_precision
from training.errors import CheckpointError, RunError
from training.fitting.compute_choice import ComputeChoice, choose_compute
from training.fitting.data_parallel import ALONE, Processes
from training.fitting.events import EpochDone, EpochProgress
from training.fitting.latent_standardisation import standardise_latents
from training.fitting.memory import check_memory
from training.fitting.trainer import Trainer, initialise
from training.progress import following
from training.publishing import provenance
from training.publishing.destination import (
    check_destination,
    check_run_folder,
    check_space,
)
from training.publishing.release import prepare_release
from training.runs import checkpoint
from training.runs.checkpoint import RunState
from training.runs.events import Event, Measuring, Notice, StageProgress, Started
from training.runs.follower import Course
from training.runs.job import Job
from training.runs.judged import judge_for_training, train_with_judge
from training.runs.run_log import RunLog
from training.runs.sheets import Sheets
from training.runs.snapshots import SnapshotRecorder
from training.runs.start import find_start, load_start

BEST_MARGIN = 0.01
"""Share of the test loss by which the best epoch has to be better to be published unasked."""


@dataclass(frozen=True)
class Outcome:
    """The published version and the cost of its training."""

    manifest: Manifest
    images_per_s: float
    """Median over the epochs."""
    peak_bytes: int
    """Peak memory: of the GPU if one was used, else of this process."""


def run(job: Job, report: Callable[[Event], None], processes: Processes = ALONE) -> Outcome:
    """Train, measure, draw and publish, as the first of the processes that train together.

    On one machine, a job with the same threads and without `auto` gives the same weights each time.

    Each epoch writes a checkpoint into the run's folder. Nothing is published unless every stage
    succeeds. Raises TrainingError, StoreError.
    """
    with following(lambda fraction: report(StageProgress(fraction))):
        return _run(job, report, processes)


def _run(job: Job, report: Callable[[Event], None], processes: Processes) -> Outcome:
    device = choose_device(job.device)
    check_destination(job.store, job.name)
    check_run_folder(job.folder)
    commit = provenance.source_commit()  # before training, during which the code may change
    past = _past(job)
    preset = job.preset
    vae = initialise(preset.model, job.seed)
    start = None
    if preset.start is not None and past is None:
        start = find_start(job.store, ModelRef.parse(preset.start), vae.spec)
    check_space(job.folder, _checkpoint_bytes(vae, preset), "keeping checkpoints")
    if job.store.in_folder:
        check_space(job.store.root, _weight_bytes(vae), "publishing the version")
    # The checks above come first, so that they fail before a data set is downloaded.
    splits = loading.load(preset.data, job.data_dir, preset.model, download=job.download)
    for line in splits.notices:
        report(Notice(line))
    free = available_bytes() if device.type == "cpu" else None
    check_memory(preset, len(splits.train) + len(splits.test), free)
    data_sha256 = sha256(splits)
    splits = replace(splits, train=splits.train.to(device), test=splits.test.to(device))
    judge = judge_for_training(preset, splits, vae)
    if start is not None:
        load_start(vae, start, splits.train)
    vae = vae.to(device)
    choice = _choose_compute(job, vae, splits, past)
    preset = with_choices(preset, choice.compute)
    state = RunState(
        preset_name=job.preset_name,
        preset=preset,
        seed=job.seed,
        data_sha256=data_sha256,
        device=device.type,
        threads=choice.threads,
        compute_choice=choice.reasons
        + (f"; {processes.size} processes" if processes.size > 1 else ""),
        libraries=provenance.libraries(),
        source_commit=commit,
        history=(),
        duration_s=0.0,
    )
    trainer = Trainer(
        vae, preset.objective, preset.optimiser, job.seed, preset.compute, processes=processes
    )
    recorder = SnapshotRecorder(splits.train, splits.test, preset.objective, preset.optimiser)
    if past is not None:
        for line in past.damaged:
            report(Notice(f"{line}; resuming from epoch {past.state.epoch}"))
        _check_that_it_is_the_same(job, past.state, state)
        trainer.restore(past.tensors)
        recorder.restore(past.tensors)
        state = past.state.model_copy(update={"threads": choice.threads})
    else:
        checkpoint.clear(job.folder)
    processes.send(Course(preset, data_sha256, trainer.epochs).to_json())
    _report_start(splits, state, vae, choice.reasons, report)
    if not state.finished:
        state = _train(job, trainer, splits, state, report, recorder=recorder)
    epoch = _epoch_to_publish(job, trainer, splits, state, report)
    trainer.trained.to(memory_format=torch.contiguous_format)
    if judge is not None:
        train_with_judge(
            trainer.trained,
            judge,
            splits,
            preset.objective,
            seed=job.seed,
            report=lambda stage: report(Measuring(stage)),
        )
    release = prepare_release(
        trainer.trained,
        splits,
        _record(job, state, splits, epoch),
        replace(job.release, arithmetic=preset.arithmetic),
        snapshots=recorder.finish(trainer.trained, epoch),
        report=lambda stage: report(Measuring(stage)),
    )
    with _ignoring_ctrl_c():
        manifest = release.publish(job.store, job.name)
        checkpoint.mark_as_published(job.folder, state, str(manifest.ref))
    images_per_s = median(done.images_per_s for done in state.history)
    return Outcome(manifest, images_per_s, _peak_bytes(device))


def _report_start(
    splits: Splits, state: RunState, vae: VAE, reasons: str, report: Callable[[Event], None]
) -> None:
    """Report what is about to be trained, and `reasons` for how it is computed."""
    optimiser = state.preset.optimiser
    if not state.finished:
        report(Notice(f"computing: {reasons}"))
    report(
        Started(
            splits.title,
            len(splits.train),
            optimiser.epochs,
            sum(weight.numel() for weight in vae.parameters()),
            state.device,
            epochs_done=state.epoch,
            passes=optimiser.passes or 1,
        )
    )


@contextlib.contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    """Ignore SIGINT while publishing, which is short and must not be interrupted half-way."""
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
    state: RunState,
    report: Callable[[Event], None],
    *,
    recorder: SnapshotRecorder,
) -> RunState:
    """Train the remaining epochs; write a checkpoint and a log entry after each."""
    started = time.monotonic() - state.duration_s
    with (
        matmul_precision(state.preset.compute.matmul),
        RunLog(job.folder, state.history, tensorboard=job.tensorboard) as log,
    ):
        sheets = Sheets(job.folder, splits.test)
        if not state.epoch:
            recorder.before_training(trainer.vae)
        for event in trainer.fit(splits.train, splits.test):
            if isinstance(event, EpochProgress):
                # the moving average has no statistics for batch norm before the end of an epoch
                recorder.in_epoch(trainer.vae, event)
                _draw(sheets.draw_in_epoch, trainer.vae, report)
            if isinstance(event, EpochDone):
                duration_s = round(time.monotonic() - started, 1)
                history = (*state.history, event)
                state = state.model_copy(update={"history": history, "duration_s": duration_s})
                recorder.after_epoch(trainer.trained, event.epoch)
                checkpoint.save(job.folder, state, trainer.state() | recorder.state())
                log.write(event, trainer.trained)
                draw = sheets.draw if state.finished else sheets.draw_after_epoch
                _draw(draw, trainer.trained, report)
            report(event)
    return state


def _draw(draw: Callable[[VAE], None], vae: VAE, report: Callable[[Event], None]) -> None:
    """Draw the sheets; report a notice if they cannot be written, and go on with the training."""
    try:
        draw(vae)
    except OSError as error:
        report(Notice(f"cannot draw samples into the run's folder: {error.strerror or error}"))


def _epoch_to_publish(
    job: Job,
    trainer: Trainer,
    splits: Splits,
    state: RunState,
    report: Callable[[Event], None],
) -> int:
    """Choose the last epoch or the best one, load its weights into the trainer, and return its number.

    If the checkpoint of the best epoch is damaged, the last epoch is chosen, and a notice reported.
    """
    best = checkpoint.best_epoch(state)
    losses = {done.epoch: done.test.loss for done in state.history}
    last_loss, best_loss = losses[state.epoch], losses[best]
    clearly = last_loss - best_loss > BEST_MARGIN * abs(best_loss)
    wanted = clearly if job.best is None else job.best
    if best == state.epoch or not wanted:
        return state.epoch
    numbers = f"test loss {best_loss:.2f}, against {last_loss:.2f} after epoch {state.epoch}"
    try:
        trainer.restore(checkpoint.load_epoch(job.folder, best).tensors)
    except CheckpointError as error:
        report(Notice(f"{error}; publishing epoch {state.epoch} instead of {best} ({numbers})"))
        return state.epoch
    if job.preset.objective.standardise_latents:  # as after the last epoch
        standardise_latents(trainer.trained, splits.train)
    report(Notice(f"publishing the best epoch, {best}: {numbers}; --last takes the last one"))
    return best


def _weight_bytes(vae: VAE) -> int:
    return sum(weight.numel() * weight.element_size() for weight in vae.parameters())


def _checkpoint_bytes(vae: VAE, preset: Preset) -> int:
    """Return the size of the checkpoints that are kept, and of one that is being written.

    Adam has two moments for each weight; a moving average is another copy of the weights.
    """
    copies = 4 if preset.optimiser.ema_decay else 3
    return (checkpoint.KEPT + 2) * copies * _weight_bytes(vae)


def _choose_compute(
    job: Job, vae: VAE, splits: Splits, past: checkpoint.Checkpoint | None
) -> ComputeChoice:
    """Choose how to compute; a resumed run continues in the way in which it began."""
    if past is None:
        return choose_compute(job.preset, vae, splits.train, threads=job.threads, seed=job.seed)
    threads = past.state.threads
    if job.threads is not None and not past.state.finished:
        threads = job.threads.number if job.threads.as_set else threads
        torch.set_num_threads(threads)
    reasons = past.state.compute_choice or "as the run began"
    return ComputeChoice(past.state.preset.compute, threads, reasons)


def _past(job: Job) -> checkpoint.Checkpoint | None:
    """Return the checkpoint to resume from, or None for a new run.

    Raises RunError if there is nothing to resume, or if a new run would discard an unfinished one.
    """
    if job.resume:
        if checkpoint.peek(job.folder) is None:
            raise RunError(f"--resume: no checkpoint in {job.folder}; train without --resume")
        return checkpoint.load(job.folder)
    previous = checkpoint.peek(job.folder)
    if previous is not None and previous.published is None and not job.restart:
        raise RunError(
            f"{job.folder} holds a run of {previous.preset_name} that was not published, at epoch "
            f"{previous.epoch} of {previous.preset.optimiser.epochs}; continue it with --resume, "
            "discard it with --restart, or choose another --runs-dir"
        )
    return None


def _check_that_it_is_the_same(job: Job, past: RunState, now: RunState) -> None:
    """Raise RunError if the resumed run would differ from the run that wrote the checkpoint."""
    for what, before, after in (
        ("preset", past.preset_name, now.preset_name),
        ("seed", past.seed, now.seed),
        ("device", past.device, now.device),
        ("data", past.data_sha256[:12], now.data_sha256[:12]),
        *differences(past.preset, now.preset),
    ):
        if before != after:
            raise RunError(
                f"--resume: the run in {job.folder} has {what} {before}, this one has {after}; use "
                "the same value, or choose another --runs-dir"
            )


def _record(job: Job, state: RunState, splits: Splits, epoch: int) -> TrainingRecord:
    preset = state.preset
    return TrainingRecord(
        preset=job.preset_name,
        dataset=splits.title,
        seed=job.seed,
        epochs=epoch,
        settings=preset.model_dump(mode="json")
        | {"threads": state.threads, "compute_choice": state.compute_choice},
        device=state.device,
        duration_s=state.duration_s,
        libraries=state.libraries,
        source_commit=state.source_commit,
        history=tuple(_epoch_record(done) for done in state.history),
        family=None
        if preset.family is None
        else Family(name=preset.family, beta=preset.objective.beta),
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
    unit = 1 if sys.platform == "darwin" else 1024  # macOS reports bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
