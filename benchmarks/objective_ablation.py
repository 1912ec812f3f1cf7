"""Measure the effect of each training option: one preset is trained again with each of them.

python -m benchmarks.objective_ablation [--preset lab] [--epochs 20] [--data-dir DIR] [--record]

Each row differs from the first only in the named option. NLL is estimated by importance sampling
(L = 128) on binarized digits, -ELBO with grey targets, both on every tenth image of the test
split; so rows are comparable with each other, but not with a model card. `grey input` and `binary
input` are -ELBO with grey targets when the encoder gets grey or binarized images.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record, table
from model_store.vae import VAE, reparameterise
from training.config import Preset, changed, load_preset
from training.data.images import Images, Splits
from training.data.loading import load
from training.evaluation.importance_sampling import binarized_nll
from training.evaluation.latent_metrics import active_units
from training.fitting.objective import kl_to_prior
from training.fitting.targets import binarize
from training.fitting.trainer import Trainer, initialise
from training.settings import TrainingSettings

DRAWS = 128
BASE = {"objective.targets": "binary", "optimiser.batch_size": 128}
OPTIONS: dict[str, Mapping[str, object]] = {
    "plain ELBO, binary targets": {},
    "grey targets": {"objective.targets": "grey"},
    "mixed targets": {"objective.targets": "mixed"},
    "cosine schedule": {"optimiser.schedule": "cosine"},
    "steps of 0.3 after 2/3 and 5/6": {
        "optimiser.schedule": "step",
        "optimiser.step_epochs": lambda epochs: (1 + epochs * 2 // 3, 1 + epochs * 5 // 6),
        "optimiser.step_factor": 0.3,
    },
    "averaged weights": {"optimiser.ema_decay": 0.999},
    "KL warm-up over a quarter": {"objective.annealing_epochs": lambda epochs: epochs / 4},
    "logvar clamped to 5": {"model.logvar_bound": 5.0},
    "5 draws": {"objective.importance_samples": 5},
    "5 draws, doubly reparameterised": {
        "objective.importance_samples": 5,
        "objective.doubly_reparameterised": True,
    },
    "consistency": {"objective.consistency": 0.1},
    "flow prior": {"model.prior": {"couplings": 8, "hidden": 128}},
}


@dataclass(frozen=True)
class Ablation:
    """Result of one option; NLL and -ELBO in nats per image."""

    nll: float
    grey_input: float
    binary_input: float
    active: int
    seconds: float


def main() -> None:
    """Train and evaluate with each option; print the table row by row."""
    options = _parser().parse_args()
    machine = read_machine()
    torch.set_flush_denormal(True)
    torch.set_num_threads(options.threads)
    base = changed(load_preset(options.preset), BASE | {"optimiser.epochs": options.epochs})
    splits = load(base.data, options.data_dir, base.model)
    settings = f"{options.preset}, {options.epochs} epochs, {options.threads} threads"
    head = table(["option", "NLL", "grey input", "binary input", "active units", "seconds"], [])
    print(f"{machine.summary()}\n{settings}\n\n{head}")
    results: dict[str, Ablation] = {}
    for name in options.only or OPTIONS:
        results[name] = train_and_evaluate(with_option(base, OPTIONS[name]), splits)
        print(_row(name, results[name]), flush=True)
    if options.record:
        rows = "\n".join(_row(name, result) for name, result in results.items())
        values = {"settings": settings, "rows": {k: asdict(v) for k, v in results.items()}}
        text = f"{settings}\n\n{head}\n{rows}"
        print(f"recorded in {record('objective_ablation', machine, text, values)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Help)
    parser.add_argument("--preset", default="lab")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data-dir", type=Path, default=TrainingSettings().data_dir)
    parser.add_argument("--only", nargs="*", help="names of options, as the table has them")
    add_record_option(parser)
    return parser


def _row(name: str, result: Ablation) -> str:
    numbers = f"{result.nll:.2f} | {result.grey_input:.2f} | {result.binary_input:.2f}"
    return f"| {name} | {numbers} | {result.active} | {result.seconds:.0f} |"


def with_option(base: Preset, option: Mapping[str, object]) -> Preset:
    """Return the preset with an option; values may be functions of the number of epochs."""
    epochs = base.optimiser.epochs
    return changed(base, {k: v(epochs) if callable(v) else v for k, v in option.items()})


def train_and_evaluate(preset: Preset, splits: Splits) -> Ablation:
    """Train from seed 0 and evaluate."""
    vae = initialise(preset.model, seed=0)
    trainer = Trainer(vae, preset.objective, preset.optimiser, 0, preset.compute)
    started = time.perf_counter()
    for _ in trainer.fit(splits.train, splits.test):
        pass
    seconds = time.perf_counter() - started
    subset = Images(splits.test.pixels[::10])
    x = subset.batch(torch.arange(len(subset)))
    binary = binarize(x, torch.Generator().manual_seed(0))
    vae = trainer.trained.eval()
    with torch.inference_mode():
        return Ablation(
            nll=binarized_nll(vae, x, DRAWS, (0,)).mean,
            grey_input=negative_elbo(vae, x, x),
            binary_input=negative_elbo(vae, binary, x),
            active=active_units(vae.encode(x)[0]),
            seconds=seconds,
        )


def negative_elbo(vae: VAE, encoder_input: torch.Tensor, x: torch.Tensor) -> float:
    """Estimate -ELBO of x with eight draws if the encoder gets `encoder_input`; nats per image."""
    noise = torch.Generator().manual_seed(0)
    mu, logvar = vae.posterior(encoder_input)
    total = 0.0
    for _ in range(8):
        z = reparameterise(mu, logvar, torch.randn(mu.shape, generator=noise))
        kl = kl_to_prior(vae, mu, logvar, z).sum(dim=1)
        total += float((kl - vae.log_likelihood(x, vae.logits(z))).mean()) / 8
    return total


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of the description and prints defaults."""


if __name__ == "__main__":
    main()
