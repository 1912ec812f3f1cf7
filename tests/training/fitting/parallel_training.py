"""Train a tiny model on made images; torchrun starts this with several processes.

    python -m torch.distributed.run --standalone --nproc-per-node 2 \
        -m tests.training.fitting.parallel_training OUT CASE:EPOCHS ... [--from-folder FOLDER]
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model_store.spec import MLP, Flow, ModelSpec, Residual
from training.config import Objective, Optimiser
from training.data.images import Images
from training.fitting.data_parallel import ALONE, Processes, joined
from training.fitting.events import EpochDone
from training.fitting.trainer import Trainer, initialise

IMAGES, BATCH, TOTAL_EPOCHS = 41, 10, 3
LOSSES = "losses"
MLP_SPEC = ModelSpec(network=MLP(hidden=(16,)), latent=3)
RESIDUAL = ModelSpec(network=Residual(channels=(4, 8), batch_norm=True), latent=3)
CASES: dict[str, tuple[ModelSpec, Objective, Optimiser]] = {
    "plain": (MLP_SPEC, Objective(), Optimiser(batch_size=BATCH, epochs=TOTAL_EPOCHS)),
    "batch norm": (
        RESIDUAL,
        Objective(),
        Optimiser(batch_size=BATCH, epochs=TOTAL_EPOCHS, ema_decay=0.9, clip_norm=1.0),
    ),
    "augmented": (
        MLP_SPEC,
        Objective(consistency=1.0, augment_until_epoch=2),
        Optimiser(batch_size=BATCH, epochs=TOTAL_EPOCHS),
    ),
    "several draws": (
        MLP_SPEC,
        Objective(importance_samples=3, doubly_reparameterised=True),
        Optimiser(batch_size=BATCH, epochs=TOTAL_EPOCHS),
    ),
    "flow": (
        MLP_SPEC.model_copy(update={"prior": Flow(couplings=2, hidden=4)}),
        Objective(prior_only_epochs=1),
        Optimiser(batch_size=BATCH, epochs=TOTAL_EPOCHS),
    ),
}


def train(
    case: str, epochs: int, processes: Processes = ALONE, start: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return the state and the losses after some epochs of a training of TOTAL_EPOCHS."""
    spec, objective, optimiser = CASES[case]
    pixels = torch.randint(0, 256, (IMAGES, 1, 28, 28), generator=torch.Generator().manual_seed(3))
    images = Images(pixels.to(torch.uint8))
    trainer = Trainer(initialise(spec, 0), objective, optimiser, seed=1, processes=processes)
    if start is not None:
        trainer.restore(start)
    losses = []
    for event in trainer.fit(images, images):
        if isinstance(event, EpochDone):
            losses += [event.train.loss, event.test.loss]
            if event.epoch == epochs:
                break
    return trainer.state() | {LOSSES: torch.tensor(losses, dtype=torch.float64)}


def main() -> None:
    """Train some cases as one of several processes; the first writes OUT/CASE."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("cases", nargs="+", metavar="CASE:EPOCHS")
    parser.add_argument("--from-folder", type=Path, help="a folder with the states to begin from")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with joined(torch.device("cpu")) as processes:
        for text in options.cases:
            case, _, epochs = text.partition(":")
            start = load_file(options.from_folder / case) if options.from_folder else None
            state = train(case, int(epochs), processes, start)
            if processes.rank == 0:
                save_file(state, options.out / text)


if __name__ == "__main__":
    main()
