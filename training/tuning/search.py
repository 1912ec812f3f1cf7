"""A search for better settings of a preset: Optuna, with pruning, on held-out training images.

The test split is not looked at: a tenth of the training split is held out, and a trial is worth
the -ELBO (beta 1, whatever the trial trains with) that it ends with on that.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from model_store.spec import MLP
from training.config import Preset, changed
from training.data.loading import Splits
from training.errors import NonFiniteLossError, TuningError
from training.fitting.trainer import EpochDone, Trainer, initialise

if TYPE_CHECKING:
    import optuna

HOLDOUT = 0.1
HOLDOUT_SEED = 0
WARM_UP_EPOCHS = 2
"""No trial is given up before; a learning rate that warms up looks bad at first."""
STARTUP_TRIALS = 5


@dataclass(frozen=True)
class Search:
    """What to search, on what, and how long."""

    preset_name: str
    preset: Preset
    splits: Splits
    trials: int
    storage: str
    study: str
    seed: int = 0


@dataclass(frozen=True)
class TrialDone:
    """A line of the search."""

    number: int
    state: str
    value: float | None
    """-ELBO on the held-out images, nats; the last one seen where the trial was given up."""
    best: float | None
    settings: Mapping[str, object]


def search(job: Search, report: Callable[[TrialDone], None]) -> "optuna.Study":
    """Run the trials that are missing; a study of the same name and storage goes on.

    Raises TuningError where the storage cannot be used or no trial ended.
    """
    import optuna  # noqa: PLC0415 - a second that only this command pays

    splits = hold_out(job.splits)

    def objective(trial: "optuna.Trial") -> float:
        preset = changed(job.preset, suggest(trial, job.preset))
        vae = initialise(preset.model, job.seed).to(splits.train.pixels.device)
        trainer = Trainer(vae, preset.objective, preset.optimiser, job.seed, preset.compute)
        negative_elbo = float("nan")
        try:
            for event in trainer.fit(splits.train, splits.test):
                if isinstance(event, EpochDone):
                    negative_elbo = event.test.reconstruction + event.test.kl
                    trial.report(negative_elbo, event.epoch)
                    if trial.should_prune():
                        raise optuna.TrialPruned
        except NonFiniteLossError:
            raise optuna.TrialPruned from None  # a rate that explodes is a result, not a failure
        return negative_elbo

    def tell(study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
        last = trial.intermediate_values.get(trial.last_step or 0)
        state = trial.state.name.lower()
        report(TrialDone(trial.number, state, last, _best_value(study), trial.params))

    study = open_study(job)
    missing = job.trials - ended(study)
    if missing > 0:
        study.optimize(objective, n_trials=missing, callbacks=[tell])
    if _best_value(study) is None:
        raise TuningError(f"no trial of the study {job.study} ended; run more, or more epochs")
    return study


def ended(study: "optuna.Study") -> int:
    """Trials that came to an end or were given up; not those that were interrupted."""
    return sum(trial.state.name in {"COMPLETE", "PRUNED"} for trial in study.trials)


def open_study(job: Search) -> "optuna.Study":
    """The study, made where it is missing; raises TuningError."""
    import optuna  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    settings = job.preset.model_dump_json(exclude={"summary"})
    try:
        study = optuna.create_study(
            storage=job.storage,
            study_name=job.study,
            sampler=optuna.samplers.TPESampler(seed=job.seed),
            pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, WARM_UP_EPOCHS),
            direction="minimize",
            load_if_exists=True,
        )
        before = study.user_attrs.setdefault("preset", settings)
        study.set_user_attr("preset", before)
    except Exception as error:  # the driver of any database may raise what it likes
        reason = str(error).partition("\n")[0]
        raise TuningError(
            f"cannot open the study {job.study} in {job.storage}: {reason}"
        ) from error
    if before != settings:
        raise TuningError(
            f"the study {job.study} in {job.storage} searches other settings; choose another --study"
        )
    return study


def suggest(trial: "optuna.Trial", preset: Preset) -> dict[str, object]:
    """What a trial changes, by dotted key: how it is learnt, and how wide the network is."""
    settings: dict[str, object] = {
        "optimiser.learning_rate": trial.suggest_float(
            "optimiser.learning_rate", 2e-4, 5e-3, log=True
        ),
        "optimiser.batch_size": trial.suggest_categorical("optimiser.batch_size", [64, 128, 256]),
        "optimiser.schedule": trial.suggest_categorical(
            "optimiser.schedule", ["constant", "cosine"]
        ),
        "optimiser.step_epochs": (),
        "model.latent": trial.suggest_int("model.latent", 8, 64, log=True)
        if preset.model.latent > 2
        else preset.model.latent,  # two are a choice: for a picture
    }
    if isinstance(preset.model.network, MLP):
        width = trial.suggest_int("model.network.hidden", 128, 1024, log=True)
        settings["model.network.hidden"] = (width,)
    else:
        settings["model.network.hidden"] = trial.suggest_int(
            "model.network.hidden", 64, 512, log=True
        )
    return settings


def best_preset(study: "optuna.Study", job: Search) -> Preset:
    """The preset with the settings of the best trial."""
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
    """A preset as a file that `--preset` takes; all settings are written out."""
    tree = preset.model_dump(mode="json", exclude_none=True)
    lines = [f"summary = {_toml(tree.pop('summary'))}"]
    for table, values in tree.items():
        lines += ["", f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def importance_figure(study: "optuna.Study") -> bytes | None:
    """How much each setting decided, as PNG; None while too few trials ended."""
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
    axes.set_xlabel("share of what decides how good a trial is (PED-ANOVA)")
    axes.set_xlim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    with io.BytesIO() as file:
        figure.savefig(file, format="png", metadata={"Software": None})
        return file.getvalue()


def hold_out(splits: Splits) -> Splits:
    """The training split alone: nine tenths to learn from, and a tenth to measure on."""
    shuffled = splits.train.shuffled(HOLDOUT_SEED)
    held_out = max(1, round(HOLDOUT * len(shuffled)))
    return replace(splits, train=shuffled.without_first(held_out), test=shuffled.first(held_out))


def default_storage(folder: Path, study: str) -> str:
    """SQLite in a folder that is there."""
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
