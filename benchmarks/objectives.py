"""What each switch of training buys: one preset, trained anew under each of them.

python -m benchmarks.objectives [--preset lab] [--epochs 20] [--data-dir DIR]

Each row differs from the first in what it names alone. NLL by importance sampling (L = 128) on
freshly binarized digits and -ELBO with grey targets, both over every tenth image of the test
split, so rows compare with each other and not with a card. `fed grey` and `fed binary` are -ELBO
with grey targets where the encoder sees grey or binarized images.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from model_store.vae import VAE, reparameterise
from training.config import Preset, changed, load_preset
from training.data.loading import Images, Splits, load
from training.evaluation.importance_sampling import binarized_nll
from training.evaluation.latent_metrics import active_units
from training.fitting.objective import binarize, kl_to_prior
from training.fitting.trainer import Trainer, initialise
from training.settings import Settings

DRAWS = 128
BASE = {"objective.targets": "binary", "optimiser.batch_size": 128}
SWITCHES: dict[str, Mapping[str, object]] = {
    "plain ELBO, binary targets": {},
    "grey targets": {"objective.targets": "grey"},
    "mixed targets": {"objective.targets": "mixed"},
    "cosine schedule": {"optimiser.schedule": "cosine"},
    "steps of 0.3 after 2/3 and 5/6": {
        "optimiser.schedule": "step",
        "optimiser.step_epochs": lambda epochs: (1 + epochs * 2 // 3, 1 + epochs * 5 // 6),
        "optimiser.step_factor": 0.3,
    },
    "averaged weights": {"optimiser.average": 0.999},
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
class Row:
    """What a switch came to; nats per image."""

    nll: float
    fed_grey: float
    fed_binary: float
    active: int
    seconds: float


def main() -> None:
    """Train and measure each switch; print a table as it fills."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Help)
    parser.add_argument("--preset", default="lab")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data-dir", type=Path, default=Settings().data_dir)
    parser.add_argument("--only", nargs="*", help="Names of switches, as the table has them.")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(options.threads)
    base = changed(load_preset(options.preset), BASE | {"optimiser.epochs": options.epochs})
    splits = load(base.data, options.data_dir, base.model.image)
    print("| switch | NLL | fed grey | fed binary | active units | s |\n|---|---|---|---|---|---|")
    for name in options.only or SWITCHES:
        row = measured(with_switch(base, SWITCHES[name]), splits)
        numbers = f"{row.nll:.2f} | {row.fed_grey:.2f} | {row.fed_binary:.2f}"
        print(f"| {name} | {numbers} | {row.active} | {row.seconds:.0f} |", flush=True)


def with_switch(base: Preset, switch: Mapping[str, object]) -> Preset:
    """The preset with a switch; a function among the values gives one for so many epochs."""
    epochs = base.optimiser.epochs
    return changed(base, {k: v(epochs) if callable(v) else v for k, v in switch.items()})


def measured(preset: Preset, splits: Splits) -> Row:
    """Train from seed 0 and measure."""
    vae = initialise(preset.model, seed=0)
    trainer = Trainer(vae, preset.objective, preset.optimiser, 0, preset.compute)
    started = time.perf_counter()
    for _ in trainer.fit(splits.train, splits.test):
        pass
    seconds = time.perf_counter() - started
    few = Images(splits.test.pixels[::10])
    x = few.batch(torch.arange(len(few)))
    binary = binarize(x, torch.Generator().manual_seed(0))
    vae = trainer.trained.eval()
    with torch.inference_mode():
        return Row(
            nll=binarized_nll(vae, x, DRAWS, (0,)).mean,
            fed_grey=negative_elbo(vae, x, x),
            fed_binary=negative_elbo(vae, binary, x),
            active=active_units(vae.encode(x)[0]),
            seconds=seconds,
        )


def negative_elbo(vae: VAE, seen: torch.Tensor, x: torch.Tensor) -> float:
    """-ELBO of x where the encoder sees `seen`, by eight draws; nats per image."""
    noise = torch.Generator().manual_seed(0)
    mu, logvar = vae.posterior(seen)
    total = 0.0
    for _ in range(8):
        z = reparameterise(mu, logvar, torch.randn(mu.shape, generator=noise))
        kl = kl_to_prior(vae, mu, logvar, z).sum(dim=1)
        total += float((kl - vae.log_likelihood(x, vae.logits(z))).mean()) / 8
    return total


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description and says defaults."""


if __name__ == "__main__":
    main()
