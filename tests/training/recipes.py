"""The networks of tutorials, as their authors write them, trained for a few steps."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PyTorchExamplesVAE(nn.Module):
    """The VAE of github.com/pytorch/examples/blob/main/vae/main.py, and its loss."""

    def __init__(self, hidden: int = 400, latent: int = 20) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, hidden)
        self.fc21 = nn.Linear(hidden, latent)
        self.fc22 = nn.Linear(hidden, latent)
        self.fc3 = nn.Linear(latent, hidden)
        self.fc4 = nn.Linear(hidden, 784)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        std = torch.exp(0.5 * logvar)
        return mu + torch.randn_like(std) * std

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x.view(-1, 784))
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def loss_function(recon_x: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


def train_pytorch_example(images: Tensor, steps: int = 60, **sizes: int) -> PyTorchExamplesVAE:
    """Train by the recipe: Adam, 1e-3, batches of 128; images (n, 1, 28, 28) in [0, 1]."""
    torch.manual_seed(1)
    model = PyTorchExamplesVAE(**sizes)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(steps):
        data = images[(torch.arange(128) + 128 * step) % len(images)]
        optimizer.zero_grad()
        loss = loss_function(*_with(model(data), data))
        torch.autograd.backward(loss)
        optimizer.step()
    return model.eval()


def _with(outputs: tuple[Tensor, Tensor, Tensor], data: Tensor) -> tuple[Tensor, ...]:
    return outputs[0], data, outputs[1], outputs[2]


def as_pythae(model: PyTorchExamplesVAE) -> dict[str, Tensor]:
    """Return the weights under the names that pythae gives to its default MLP."""
    names = {
        "fc1": "encoder.layers.0.0",
        "fc21": "encoder.embedding",
        "fc22": "encoder.log_var",
        "fc3": "decoder.layers.0.0",
        "fc4": "decoder.layers.1.0",
    }
    state = model.state_dict()
    return {
        f"{there}.{part}": state[f"{here}.{part}"]
        for here, there in names.items()
        for part in ("weight", "bias")
    }
