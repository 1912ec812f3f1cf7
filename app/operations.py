"""Compute latents and likelihoods from seeds, labels, posteriors and directions, without HTTP.

The service, the MCP server and programs that use a model in their own process call these functions
with an engine, or with `app.inference.direct.DirectFunctions`, and get the same numbers.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app.errors import ParameterError
from app.inference.functions import ModelFunctions
from app.inference.loaded_model import LoadedModel
from app.off_loop import LARGE_NUMBERS, call
from app.sampling import latents
from app.sampling.finite import check_float32
from app.sampling.paths import Doubles
from app.sampling.posterior import sample_posterior
from app.sampling.scoring import draw_posterior
from app.typing import Floats
from model_store.arithmetic.importance import Evidence, evidence, log_posterior

# --- seeds and labels --------------------------------------------------------------------------


async def draw_latents(
    functions: ModelFunctions,
    model: LoadedModel,
    seeds: NDArray[np.uint64],
    temperature: float,
    label: int | None = None,
) -> Floats:
    """Draw one latent for each seed, of the prior or of a class; (batch,) -> (batch, latent).

    The temperature scales a latent of the prior, or the spread within a class.
    """
    off_loop = len(seeds) * model.latent >= LARGE_NUMBERS
    if label is None:
        noise = await call(lambda: latents.standard_normal(seeds, model.latent), off_loop=off_loop)
        return noise * np.float32(temperature)
    classes = model.class_latents
    z = await call(
        lambda: latents.class_latents(classes, label, seeds, temperature), off_loop=off_loop
    )
    return await functions.to_u(model, z) if classes.before_flow else z


async def draw_variants(
    functions: ModelFunctions,
    model: LoadedModel,
    mu: Floats,
    logvar: Floats,
    *,
    seeds: NDArray[np.uint64],
    temperature: float,
) -> Floats:
    """Draw one latent of a posterior for each seed; (batch,) -> (batch, latent).

    mu and logvar are those before a flow, of one image (latent,) or one for each seed (batch, latent).
    Raises NotFiniteError.
    """

    def sample() -> Floats:
        eps = latents.standard_normal(seeds, model.latent)
        return sample_posterior(mu, logvar, eps, temperature)

    z = await call(sample, off_loop=len(seeds) * model.latent >= LARGE_NUMBERS)
    return await functions.to_u(model, z)


def find_class(label: str, model: LoadedModel) -> int:
    """Return the index of the class with this name, or with this name in another case, or this index.

    The case counts first, because letters have the classes `q` and `Q`.
    """
    classes = model.classes
    if not model.class_latents:
        raise ParameterError(
            f"{model.ref} was published without class statistics, "
            f"so it cannot draw label {label[:80]!r}",
            remedy="leave label out; `python -m training complete NAME@VERSION --classes` publishes a version "
            "with class statistics, and for an imported one `evaluate NAME@VERSION --data DATASET` does",
        )
    name = label.strip()
    if name in classes:
        return classes.index(name)
    for index, class_name in enumerate(classes):
        if name.casefold() == class_name.casefold():
            return index
    if name.isascii() and name.isdigit() and len(name) < 10 and int(name) < len(classes):
        return int(name)
    raise ParameterError(
        f"{model.ref} has no class {label[:80]!r}; it has: {', '.join(classes)}",
        remedy=f"send the name of a class, or its index from 0 to {len(classes) - 1}",
    )


# --- likelihoods -------------------------------------------------------------------------------


async def estimate_evidence(
    functions: ModelFunctions, model: LoadedModel, x: Floats, draws: int, seed: int
) -> Evidence:
    """Estimate ELBO and NLL of each image; x (images, channels, height, width) in [0, 1].

    The draws of one image after the other are queued, so other requests take turns with them.
    """
    mu, logvar = await functions.posterior(model, x)
    seeds = latents.consecutive_seeds(seed, len(x))
    off_loop = draws * model.latent >= LARGE_NUMBERS
    joint, noise = [], []
    for i, image in enumerate(x):
        draw = partial(draw_posterior, seeds[i : i + 1], draws, mu[i], logvar[i])
        drawn = await call(draw, off_loop=off_loop)
        repeated = np.broadcast_to(image, (draws, *image.shape))
        joint.append(await functions.log_joint(model, repeated, drawn.z))
        noise.append(drawn.eps)

    def estimates() -> Evidence:
        log_px, log_pz = (np.stack(column) for column in zip(*joint, strict=True))
        return evidence(log_px, log_pz, log_posterior(np.stack(noise), logvar))

    return await call(estimates, off_loop=len(x) * draws * model.latent >= LARGE_NUMBERS)


# --- directions --------------------------------------------------------------------------------


async def move(
    model: LoadedModel, functions: ModelFunctions, u: Floats, offsets: Doubles
) -> Floats:
    """Add offsets to latents, in the space of the version's directions; all (batch, latent).

    A latent whose offset is 0 stays as it is. Raises NotFiniteError.
    """
    moved = offsets.any(axis=1)
    if not moved.any():
        return u
    before_flow = model.directions.before_flow
    z = await functions.to_z(model, u[moved]) if before_flow else u[moved]
    ends = await call(lambda: _sum(z, offsets[moved]), off_loop=z.size >= LARGE_NUMBERS)
    result = u.copy()
    result[moved] = await functions.to_u(model, ends) if before_flow else ends
    return result


def _sum(z: Floats, offsets: Doubles) -> Floats:
    """Return z + offsets; raises NotFiniteError."""
    sums = z.astype(np.float64) + offsets
    check_float32(sums, "the moved latent")
    return sums.astype(np.float32)


def offset(model: LoadedModel, names: Sequence[str], moves: Sequence[float]) -> Doubles:
    """Return the sum of moves along directions, in the order of the request; (latent,), float64."""
    total = np.zeros(model.latent)
    for name, by in zip(names, moves, strict=True):
        total = total + by * model.directions.step(name).astype(np.float64)
    return total


def offsets_along(model: LoadedModel, name: str, values: Floats) -> Doubles:
    """Return one offset for each value; values (steps,) -> (steps, latent), float64."""
    step = model.directions.step(name).astype(np.float64)
    return values.astype(np.float64)[:, None] * step
