"""Train `lab`'s network with pythae's trainer; runs in pythae's environment, not in zserve's.

Reads a line from stdin before each epoch and prints the epoch's seconds after it, so that the
parent process can let several loops take turns.
"""

# mypy: ignore-errors
# mypy runs in an environment without pythae.

import os
import sys
import time

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import nn

HIDDEN, LATENT, PIXELS = 400, 20, 784


class Encoder(BaseEncoder):
    """784-400, then mu and logvar."""

    def __init__(self):
        BaseEncoder.__init__(self)
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, HIDDEN), nn.ReLU())
        self.mu, self.logvar = nn.Linear(HIDDEN, LATENT), nn.Linear(HIDDEN, LATENT)

    def forward(self, x):
        """Encode images into the posterior."""
        features = self.trunk(x)
        return ModelOutput(embedding=self.mu(features), log_covariance=self.logvar(features))


class Decoder(BaseDecoder):
    """20-400-784."""

    def __init__(self):
        BaseDecoder.__init__(self)
        self.layers = nn.Sequential(
            nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS), nn.Sigmoid()
        )

    def forward(self, z):
        """Decode latents into images."""
        return ModelOutput(reconstruction=self.layers(z).reshape(-1, 1, 28, 28))


class Turns(TrainingCallback):
    """Starts an epoch for each line on stdin and prints its seconds."""

    def __init__(self, answers):
        self.answers = answers

    def on_epoch_begin(self, training_config, **kwargs):  # noqa: ARG002 - pythae passes them by name
        """Wait for a line."""
        sys.stdin.readline()
        self.started = time.perf_counter()

    def on_epoch_end(self, training_config, **kwargs):  # noqa: ARG002 - pythae passes them by name
        """Print the seconds of the epoch."""
        print(time.perf_counter() - self.started, file=self.answers, flush=True)


def main():
    """Read images, epochs, threads, batch size, learning rate and output folder, and train."""
    images, epochs, threads, batch = map(int, sys.argv[1:5])
    learning_rate, folder = float(sys.argv[5]), sys.argv[6]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # pythae's own output goes to stderr
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    pixels = np.random.default_rng(0).random((images, 1, 28, 28), dtype=np.float32)
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    data = BaseDataset(torch.from_numpy(pixels), torch.ones(images))
    trainer = BaseTrainer(
        model=VAE(config, encoder=Encoder(), decoder=Decoder()),
        train_dataset=data,
        training_config=BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs,
            learning_rate=learning_rate,
            per_device_train_batch_size=batch,
            no_cuda=True,
        ),
        callbacks=[Turns(answers)],
    )
    trainer.train()


if __name__ == "__main__":
    main()
