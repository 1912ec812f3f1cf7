"""Run the trials of a search in parallel on a Ray cluster, with Ray Tune; needs `ray[tune]`.

The search space, the held-out images, the sampler and the study are those of training.tuning.search, so
either of the two continues a study of the other. A trial is stopped early by Ray Tune's median rule, after
the same number of epochs and trials as by Optuna's.
"""

import contextlib
import logging
import math
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import ray
import torch
from ray import tune
from ray.tune.result import TRAINING_ITERATION
from ray.tune.schedulers import MedianStoppingRule
from ray.tune.search.optuna import OptunaSearch

from training.config import Preset
from training.data.images import Splits
from training.devices import Device, choose_device, matmul_precision, prepare_torch
from training.errors import NonFiniteLossError, TuningError
from training.tuning import search
from training.tuning.search import Search, TrialDone

LOCAL = "local"
"""Address that starts Ray on this machine, for the search alone."""
CONNECT_S = 10.0
"""Longest time (s) until the head of the cluster accepts a connection."""
_VALUE, _DIVERGED = "negative_elbo", "diverged"
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Workers:
    """Where trials run."""

    address: str
    """Address of the cluster: host:port, `auto` for one that runs on this machine, or LOCAL."""
    folder: Path
    """Folder for Ray Tune's own files, which all nodes share."""
    device: Device
    threads: int
    """CPUs that Ray reserves for a trial, and CPU threads that it computes with."""


def search_on_ray(
    job: Search, workers: Workers, report: Callable[[TrialDone], None]
) -> optuna.Study:
    """Run the trials that are missing; continue a study of the same name and storage.

    Raises TuningError if the storage or the cluster cannot be used, or a trial failed.
    """
    study = search.open_study(job)
    missing = job.trials - search.finished_trials(study)
    if missing > 0:
        with _connected(workers.address):
            errors = _run(job, workers, missing, _Reporter(study, report))
        if errors:
            reason = str(errors[-1]).strip().rpartition("\n")[2]
            raise TuningError(f"{len(errors)} trials failed on the cluster: {reason}")
        if search.finished_trials(study) < job.trials:
            raise KeyboardInterrupt  # Ray Tune ends in order at a first Ctrl-C
    search.check_that_one_completed(study, job)
    return study


@contextlib.contextmanager
def _connected(address: str) -> Iterator[None]:
    own = {"include_dashboard": False} if address == LOCAL else {}
    try:
        _check_that_something_listens(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise TuningError(
            f"cannot use the Ray cluster {address}: {reason}; `ray start --head` starts one here"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_that_something_listens(address: str) -> None:
    """Raise OSError if nothing listens at host:port: Ray would try it for many minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), CONNECT_S).close()


def _run(job: Search, workers: Workers, trials: int, reporter: "_Reporter") -> list[BaseException]:
    """Run trials, and return the errors of those that failed."""
    epochs = job.preset.optimiser.epochs
    sent = replace(job, splits=_on(_CPU, search.hold_out(job.splits)))
    trainable = tune.with_parameters(_train, job=sent, workers=workers)
    gpus = int(choose_device(workers.device).type == "cuda")
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": workers.threads, "gpu": gpus}),
        tune_config=tune.TuneConfig(
            metric=_VALUE,
            mode="min",
            num_samples=trials,
            search_alg=_StudySearch(job, epochs),
            scheduler=MedianStoppingRule(
                time_attr=TRAINING_ITERATION,
                grace_period=search.WARM_UP_EPOCHS,
                min_samples_required=search.STARTUP_TRIALS,
                min_time_slice=math.inf,  # a paused trial would begin again
            ),
        ),
        run_config=tune.RunConfig(
            name=job.study,
            storage_path=str(workers.folder.absolute()),
            callbacks=[reporter],
            verbose=0,
        ),
    )
    return list(tuner.fit().errors)


def _train(config: Mapping[str, Any], *, job: Search, workers: Workers) -> None:
    """Train a trial on a node of the cluster; `config` has the values that the sampler chose."""
    prepare_torch(workers.threads)
    splits = _on(choose_device(workers.device), job.splits)
    settings = search.suggest(optuna.trial.FixedTrial(dict(config)), job.preset)  # type: ignore[arg-type]
    compute = job.compute or job.preset.compute
    with matmul_precision(compute.matmul):
        try:
            for _, negative_elbo in search.train_trial(job, splits, settings):
                tune.report({_VALUE: negative_elbo})
        except NonFiniteLossError:
            tune.report({_VALUE: math.inf, _DIVERGED: True})


def _on(device: torch.device, splits: Splits) -> Splits:
    return replace(splits, train=splits.train.to(device), test=splits.test.to(device))


@dataclass(frozen=True)
class _Space:
    """The search space, as Ray Tune calls it; it has to be sent to files, so it is no closure."""

    preset: Preset

    def __call__(self, trial: optuna.Trial) -> None:
        search.suggest(trial, self.preset)


class _StudySearch(OptunaSearch):
    """Takes trials from the study of a job, and tells it how they ended.

    Ray Tune calls a trial that was stopped early complete; in the study it is pruned.
    """

    def __init__(self, job: Search, epochs: int) -> None:
        super().__init__(
            _Space(job.preset),
            metric=_VALUE,
            mode="min",
            study_name=job.study,
            storage=optuna.storages.RDBStorage(job.storage),
            sampler=search.sampler(job),
        )
        self._epochs = epochs

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Record the value of a trial that reached its last epoch; others are pruned or failed."""
        if result and (result.get(_DIVERGED) or result[TRAINING_ITERATION] < self._epochs):
            result = None
        super().on_trial_complete(trial_id, result, error)


class _Reporter(tune.Callback):
    """Reports each trial of a study that has finished since this object was made."""

    def __init__(self, study: optuna.Study, report: Callable[[TrialDone], None]) -> None:
        self._study = study
        self._report = report
        self._reported = {trial.number for trial in study.trials if trial.state.is_finished()}

    def __getstate__(self) -> dict[str, Any]:
        """Leave everything out of the files of Ray Tune, which nothing reads here."""
        return {}

    def on_trial_complete(self, *_: object, **__: object) -> None:
        for trial in self._study.trials:
            if trial.state.is_finished() and trial.number not in self._reported:
                self._reported.add(trial.number)
                self._report(search.describe(trial, self._study))

    on_trial_error = on_trial_complete
