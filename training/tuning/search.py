"""Search for better settings of a preset with Optuna, on held-out training images.

The test split is not used: a tenth of the training split is held out. The value of a trial is its
final -ELBO on these images, with beta 1 whatever beta the trial trains with.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from model_store.spec import MLP, Package
from training.config import Compute, Preset, changed
from training.data.images import Splits
from training.errors import NonFiniteLossError, TuningError
from training.fitting.events import EpochDone
from training.fitting.trainer import Trainer, initialise

if TYPE_CHECKING:
    import optuna

HOLDOUT = 0.1
HOLDOUT_SEED = 0
WARM_UP_EPOCHS = 2
"""Epochs before a trial can be pruned; values during learning-rate warm-up mean little."""
STARTUP_TRIALS = 5
"""Trials before pruning begins."""


@dataclass(frozen=True)
class Search:
    """Description of a search: preset, data and number of trials."""

    preset_name: str
    preset: Preset
    splits: Splits
    trials: int
    storage: str
    study: str
    seed: int = 0
    compute: Compute | None = None
    """Values chosen for the settings that the preset leaves to `auto`; None keeps the preset's. They
    are not settings of the study, which may continue on another machine."""


@dataclass(frozen=True)
class TrialDone:
    """The result of a trial."""

    number: int
    state: str
    value: float | None
    """-ELBO on the held-out images, nats; the last one before pruning if the trial was pruned."""
    best: float | None
    """Lowest value of the trials that were completed so far."""
    settings: Mapping[str, object]


def search(job: Search, report: Callable[[TrialDone], None]) -> "optuna.Study":
    """Run the trials that are missing; continue a study of the same name and storage.

    Raises TuningError if the storage cannot be used or no trial was completed.
    """
    import optuna  # noqa: PLC0415 - importing it takes a second

    splits = hold_out(job.splits)

    def objective(trial: "optuna.Trial") -> float:
        negative_elbo = float("nan")
        try:
            for epoch, negative_elbo in train_trial(job, splits, suggest(trial, job.preset)):
                trial.report(negative_elbo, epoch)
                if trial.should_prune():
                    raise optuna.TrialPruned
        except NonFiniteLossError:
            raise optuna.TrialPruned from None  # a learning rate that diverges is a result
        return negative_elbo

    def report_trial(study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
        report(describe(trial, study))

    study = open_study(job)
    missing = job.trials - finished_trials(study)
    if missing > 0:
        study.optimize(objective, n_trials=missing, callbacks=[report_trial])
    check_that_one_completed(study, job)
    return study


def check_that_one_completed(study: "optuna.Study", job: Search) -> None:
    """Raise TuningError if no trial of the study was completed."""
    if _best_value(study) is None:
        raise TuningError(
            f"no trial of the study {job.study} was completed; run more trials, or more epochs"
        )


def describe(trial: "optuna.trial.FrozenTrial", study: "optuna.Study") -> TrialDone:
    """Return the result of a finished trial of a study."""
    last = trial.intermediate_values.get(trial.last_step or 0)
    state = trial.state.name.lower()
    return TrialDone(trial.number, state, last, _best_value(study), trial.params)


def train_trial(
    job: Search, splits: Splits, settings: Mapping[str, object]
) -> Iterator[tuple[int, float]]:
    """Train with the settings of a trial; yield each epoch and its -ELBO on the held-out images.

    The -ELBO is in nats. Raises NonFiniteLossError.
    """
    preset = changed(job.preset, settings)
    vae = initialise(preset.model, job.seed).to(splits.train.pixels.device)
    compute = job.compute or preset.compute
    trainer = Trainer(vae, preset.objective, preset.optimiser, job.seed, compute)
    for event in trainer.fit(splits.train, splits.test):
        if isinstance(event, EpochDone):
            yield event.epoch, event.test.reconstruction + event.test.kl


def finished_trials(study: "optuna.Study") -> int:
    """Count the trials that were completed or pruned, without interrupted ones."""
    return sum(trial.state.name in {"COMPLETE", "PRUNED"} for trial in study.trials)


def open_study(job: Search) -> "optuna.Study":
    """Open the study or create it; raises TuningError."""
    import optuna  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    settings = job.preset.model_dump(mode="json", exclude={"summary"})
    try:
        study = optuna.create_study(
            storage=job.storage,
            study_name=job.study,
            sampler=sampler(job),
            pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, WARM_UP_EPOCHS),
            direction="minimize",
            load_if_exists=True,
        )
        before = study.user_attrs.get("preset")
        if before is None:
            study.set_user_attr("preset", json.dumps(settings))
    except Exception as error:  # each database driver has its own errors
        reason = str(error).partition("\n")[0]
        raise TuningError(
            f"cannot open the study {job.study} in {job.storage}: {reason}"
        ) from error
    if before is not None and _settings_of_study(before) != settings:
        raise TuningError(
            f"the study {job.study} in {job.storage} searches other settings; choose another --study"
        )
    return study


def sampler(job: Search) -> "optuna.samplers.BaseSampler":
    """Return what chooses the settings of the next trial."""
    import optuna  # noqa: PLC0415

    return optuna.samplers.TPESampler(seed=job.seed)


def _settings_of_study(text: str) -> dict[str, Any] | None:
    """Parse the settings that a study was created with; accepts former names of keys."""
    try:
        preset = Preset.model_validate(json.loads(text) | {"summary": ""})
    except ValueError:
        return None
    return preset.model_dump(mode="json", exclude={"summary"})


def suggest(trial: "optuna.Trial", preset: Preset) -> dict[str, object]:
    """Choose the settings of a trial, by dotted key: optimisation and size of the network.

    Of the network of a package, the setting `hidden` is searched if its preset has it.
    """
    settings: dict[str, object] = {
        "optimiser.learning_rate": trial.suggest_float(
            "optimiser.learning_rate", 2e-4, 5e-3, log=True
        ),
        "optimiser.batch_size": trial.suggest_categorical("optimiser.batch_size", [64, 128, 256]),
        "optimiser.schedule": trial.suggest_categorical(
            "optimiser.schedule", ["constant", "cosine"]
        ),
        "optimiser.step_epochs": (),
    }
    network = preset.model.network
    if isinstance(network, Package):
        # which numbers of latents a package takes is unknown
        if isinstance(network.settings.get("hidden"), int):
            key = "model.network.settings.hidden"
            settings[key] = trial.suggest_int(key, 64, 512, log=True)
        return settings
    settings["model.latent"] = (
        trial.suggest_int("model.latent", 8, 64, log=True)
        if preset.model.latent > 2
        else preset.model.latent  # a preset with two latents needs two, to draw their plane
    )
    if isinstance(network, MLP):
        width = trial.suggest_int("model.network.hidden", 128, 1024, log=True)
        settings["model.network.hidden"] = (width,)
    else:
        settings["model.network.hidden"] = trial.suggest_int(
            "model.network.hidden", 64, 512, log=True
        )
    return settings


def best_preset(study: "optuna.Study", job: Search) -> Preset:
    """Return the preset with the settings of the best trial."""
    import optuna  # noqa: PLC0415

    fixed = optuna.trial.FixedTrial(study.best_params)
    preset = changed(job.preset, suggest(fixed, job.preset))  # type: ignore[arg-type]
    summary = (
        f"{job.preset_name}, tuned: best of {len(study.trials)} trials of "
        f"{job.preset.optimiser.epochs} epochs, -ELBO {study.best_value:.2f} nats on held-out "
        "training images"
    )
    return preset.model_copy(update={"summary": summary})


def to_toml(preset: Preset) -> str:
    """Format a preset as TOML for `--preset`; all settings are written out."""
    tree = preset.model_dump(mode="json", exclude_none=True)
    tables = {name: value for name, value in tree.items() if isinstance(value, dict)}
    lines = [f"{key} = {_toml(value)}" for key, value in tree.items() if key not in tables]
    for table, values in tables.items():
        lines += ["", f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def importance_figure(study: "optuna.Study") -> bytes | None:
    """Plot how much each setting affected the trials, as PNG; None with too few trials."""
    import optuna  # noqa: PLC0415

    try:
        shares = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    except (RuntimeError, ValueError):
        return None
    figure = Figure(figsize=(7.2, 0.6 + 0.4 * len(shares)), dpi=100, facecolor="white")
    axes = figure.subplots()
    names = list(reversed(shares))
    axes.barh(names, [shares[name] for name in names], color="#1f3a5f")
    axes.set_xlabel("importance of the setting for the value of a trial (PED-ANOVA)")
    axes.set_xlim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    with io.BytesIO() as file:
        figure.savefig(file, format="png", metadata={"Software": None})
        return file.getvalue()


def hold_out(splits: Splits) -> Splits:
    """Split the training images: nine tenths to train on, a tenth to measure on."""
    shuffled = splits.train.shuffled(HOLDOUT_SEED)
    held_out = max(1, round(HOLDOUT * len(shuffled)))
    return replace(splits, train=shuffled.without_first(held_out), test=shuffled.first(held_out))


def default_storage(folder: Path, study: str) -> str:
    """Return the URL of an SQLite file in an existing folder."""
    return f"sqlite:///{(folder / f'{study}.db').absolute()}"


def _best_value(study: "optuna.Study") -> float | None:
    values = [trial.value for trial in study.trials if trial.state.name == "COMPLETE"]
    return min((value for value in values if value is not None), default=None)


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        case dict():
            return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case _:
            return repr(value)
