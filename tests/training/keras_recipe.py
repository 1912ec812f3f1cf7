"""Train Keras' example "Variational AutoEncoder" for a few steps, as a program of its own.

    KERAS_BACKEND=torch python keras_recipe.py FOLDER

The networks are those of keras.io/examples/generative/vae. The folder gets weights.safetensors, whose names
are the paths of Keras' variables, and results.npz, with what Keras computes for some images and latents.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import safetensors.numpy
import torch
from keras import layers

LATENT = 2


def networks() -> tuple[keras.Model, keras.Model]:
    """Return encoder and decoder of the example, without the layer that samples."""
    source = keras.Input(shape=(28, 28, 1))
    x = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(source)
    x = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(16, activation="relu")(x)
    outputs = [layers.Dense(LATENT, name="z_mean")(x), layers.Dense(LATENT, name="z_log_var")(x)]
    encoder = keras.Model(source, outputs, name="encoder")
    latents = keras.Input(shape=(LATENT,))
    x = layers.Dense(7 * 7 * 64, activation="relu")(latents)
    x = layers.Reshape((7, 7, 64))(x)
    x = layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same")(x)
    image = layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same")(x)
    return encoder, keras.Model(latents, image, name="decoder")


def train(encoder: keras.Model, decoder: keras.Model, images: torch.Tensor, steps: int) -> None:
    """Take steps of the example's loss, with its optimiser, on batches of 64."""
    variables = [*encoder.trainable_variables, *decoder.trainable_variables]
    optimiser = keras.optimizers.Adam()
    optimiser.build(variables)
    for step in range(steps):
        x = images[(torch.arange(64) + 64 * step) % len(images)]
        mean, log_var = encoder(x)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        binary = keras.losses.binary_crossentropy(x, decoder(z))
        kl = -0.5 * (1 + log_var - mean**2 - torch.exp(log_var)).sum(dim=1)
        loss = binary.sum(dim=(1, 2)).mean() + kl.mean()
        for variable in variables:
            variable.value.grad = None
        torch.autograd.backward(loss)
        with torch.no_grad():
            optimiser.apply([variable.value.grad for variable in variables], variables)


def main(folder: Path) -> None:
    """Train, and write the weights and some results."""
    torch.set_num_threads(1)
    keras.utils.set_random_seed(1)
    images = torch.zeros(256, 28, 28, 1)
    for place in range(256):
        images[place, 4:24, 4 + place % 20 : 7 + place % 20] = 0.9
    encoder, decoder = networks()
    train(encoder, decoder, images, steps=12)
    weights = [*encoder.weights, *decoder.weights]
    arrays = {w.path: np.ascontiguousarray(keras.ops.convert_to_numpy(w.value)) for w in weights}
    safetensors.numpy.save_file(arrays, folder / "weights.safetensors")
    z = torch.randn(5, LATENT)
    with torch.no_grad():
        (mean, log_var), drawn = encoder(images[:5]), decoder(z)
    results = {"x": images[:5], "mean": mean, "log_var": log_var, "z": z, "image": drawn}
    np.savez(folder / "results.npz", **{k: v.detach().cpu().numpy() for k, v in results.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
