"""A version of a model in this process: `load("mnist")`, numpy in and out, without HTTP.

Results are those of the service, byte for byte: both call the same functions. Exact versions need
neither torch nor FastAPI; a float version needs torch.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app import operations
from app.api.result import square_columns
from app.imaging.grid import channels_last, enlarge, make_grid
from app.imaging.png import encode_png
from app.inference.backend import ChosenBackend
from app.inference.devices import choose_device
from app.inference.direct import DirectFunctions, finish
from app.inference.loaded_model import LoadedModel
from app.inference.warm_up import load_model
from app.sampling.latents import SEEDS, consecutive_seeds, random_seed, standard_normal
from app.sampling.paths import lerp, slerp, traversal, traversal_values
from app.sampling.posterior import kl_to_standard_normal
from app.typing import Bytes, Floats
from model_store.preprocessing import from_bytes, to_bytes
from model_store.spec import Manifest, ModelRef
from model_store.store import open_store
from model_store.typicality import quantile
from zserve.arrays import prepare_files, to_levels

if TYPE_CHECKING:
    from zserve.batches import AugmentedBatches
    from zserve.torch_data import SampledImages

__all__ = ["VAE", "Posterior", "load"]

Device = Literal["auto", "cpu", "cuda"]
Start = ArrayLike | int
"""A seed, a latent (latent,), or an image of the model's size."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """q(z | x) = N(mu, sigma^2) of some images; unpack it as `mu, logvar = vae.encode(x)`.

    Attributes:
        mu: (batch, latent).
        logvar: ln sigma^2, (batch, latent).
    """

    mu: Floats
    logvar: Floats

    def __iter__(self) -> Iterator[Floats]:
        """Yield mu and logvar."""
        return iter((self.mu, self.logvar))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.mu)

    @property
    def kl_nats(self) -> Floats:
        """Return KL(q(z | x) || N(0, I)) of each image; (batch,), nats."""
        return kl_to_standard_normal(self.mu, self.logvar)

    def columns(self) -> dict[str, Floats]:
        """Return one array for each column of a table: `pandas.DataFrame(posterior.columns())`.

        The columns are mu_0, mu_1, ..., logvar_0, logvar_1, ..., kl_nats.
        """
        names = [f"mu_{i}" for i in range(self.mu.shape[1])]
        names += [f"logvar_{i}" for i in range(self.mu.shape[1])]
        values = np.concatenate([self.mu, self.logvar], axis=1).T
        return dict(zip(names, values, strict=True)) | {"kl_nats": self.kl_nats}


def load(
    reference: str,
    *,
    store: str | Path | None = None,
    device: Device = "cpu",
    threads: int = 1,
) -> "VAE":
    """Load a version of a model from a store.

    Args:
        reference: `name`, `name@version` or `name@alias`.
        store: folder or address of the store; the variable ZSERVE_STORE, or else the store that the
            service uses by default.
        device: what to compute on; `auto` is a GPU if one is usable. A GPU needs torch.
        threads: threads that compute. With more than one, the last bits of a float version depend on
            the batch.

    Raises:
        StoreError: there is no such version, or it is damaged.
        TorchMissingError: a float version or a GPU needs torch, which is not installed.
    """
    location = store or os.environ.get("ZSERVE_STORE") or None
    return _load(str(location) if location is not None else None, reference, device, threads)


def _load(location: str | None, reference: str, device: Device, threads: int) -> "VAE":
    stored = open_store(location).load(ModelRef.parse(reference))
    model = load_model(ChosenBackend(choose_device(device), threads), stored)
    return VAE(model, (location, model.name, device, threads))


class VAE:
    """A loaded version. Methods may be called by several threads, which take turns.

    Images are (height, width) if the model is grey and (height, width, 3) if it has colours, uint8 in
    0..255; latents are float32, on the side of the prior N(0, I), as everywhere in the service.
    """

    def __init__(self, model: LoadedModel, origin: tuple[str | None, str, Device, int]) -> None:
        self._model = model
        self._origin = origin
        self._functions = DirectFunctions()

    def __repr__(self) -> str:
        channels, height, width = self._model.manifest.spec.image.shape
        colours = "grey" if channels == 1 else "RGB"
        return (
            f"<VAE {self.name}: {width}x{height} {colours}, {self.latent} latent dimensions, "
            f"{self._model.arithmetic.partition(' ')[0]}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how another process makes this object: by loading the same version."""
        return _load, self._origin

    # --- what the version is ---

    @property
    def model(self) -> LoadedModel:
        """Return the version as the engine of the service takes it."""
        return self._model

    @property
    def name(self) -> str:
        """Return the version as `name@version`."""
        return self._model.name

    @property
    def manifest(self) -> Manifest:
        """Return what the version is, how it was trained, and its metrics."""
        return self._model.manifest

    @property
    def latent(self) -> int:
        """Return the number of latent dimensions."""
        return self._model.latent

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the classes that `label` may name; empty if the version has none."""
        return self._model.classes

    @property
    def directions(self) -> tuple[str, ...]:
        """Return the directions that `edit` can move along; empty if the version has none."""
        return self._model.directions.names

    # --- images from seeds and latents ---

    def draw(
        self,
        n: int = 16,
        *,
        seed: int | None = None,
        label: str | int | None = None,
        temperature: float = 1.0,
    ) -> Floats:
        """Draw latents; (n, latent). Row i depends on `seed + i` alone.

        With a label, a class by name or index, from the Gaussian mixture of that class, and else from
        N(0, I). Without a seed, a random one is chosen. Raises ParameterError if the version lacks the
        class.
        """
        index = None if label is None else operations.find_class(str(label), self._model)
        return self._draw(_seeds(seed, n), index, temperature)

    def decode(self, z: ArrayLike) -> Bytes:
        """Return the mean image of p(x | z) for each row of z (batch, latent)."""
        return channels_last(self._decode(self._latents(z)))

    def sample(
        self,
        n: int = 16,
        *,
        seed: int | None = None,
        label: str | int | None = None,
        temperature: float = 1.0,
    ) -> Bytes:
        """Draw latents and decode them: `decode(draw(...))`; the images of GET /generate."""
        return self.decode(self.draw(n, seed=seed, label=label, temperature=temperature))

    # --- images from images ---

    def prepare(self, *files: str | Path | bytes, as_is: bool = False) -> Bytes:
        """Bring image files to the form of the training images, as the service does with uploads.

        Files are paths or contents of PNG, JPEG, WebP, AVIF, HEIC or GIF files. With `as_is`, they must
        have the model's size and stay as they are (`preprocess=none`). Raises UploadError and
        ImageError for files that the service would refuse.
        """
        return channels_last(prepare_files(list(files), self._model.manifest.spec, as_is=as_is))

    def encode(self, x: ArrayLike) -> Posterior:
        """Return the posterior of images of the model's size: `mu, logvar = vae.encode(x)`.

        x is uint8 in 0..255 or floats in [0, 1], one image or a batch, with or without an axis of
        channels. Raises ValueError for images of another size; see `prepare`.
        """
        return Posterior(*self._encode(self._images(x)))

    def reconstruct(self, x: ArrayLike) -> Bytes:
        """Encode images and decode the means of their posteriors."""
        return self.decode(self.encode(x).mu)

    def augment(
        self,
        x: ArrayLike,
        n: int = 16,
        *,
        seed: int | None = None,
        temperature: float = 1.0,
    ) -> Bytes:
        """Draw n variants of one image from its posterior; variant i depends on `seed + i` alone.

        The temperature scales sigma: 0 gives the reconstruction, 1 samples of the posterior.
        """
        mu, logvar = self._posterior(self._one_image(x))
        seeds = _seeds(seed, n)
        return channels_last(self._decode(self._variants(mu[0], logvar[0], seeds, temperature)))

    def interpolate(
        self,
        a: Start,
        b: Start,
        steps: int = 8,
        *,
        path: Literal["linear", "slerp"] = "linear",
    ) -> Bytes:
        """Decode `steps` latents on a path from a to b, both included.

        An end is an image, a seed or a latent. The path is a straight line, or an arc (`slerp`) whose
        latents are as likely as those of its ends.
        """
        if steps < 2:
            raise ValueError(f"steps is {steps}; a path has at least its two ends")
        along = {"linear": lerp, "slerp": slerp}[path]
        return self.decode(along(self.latent_of(a), self.latent_of(b), steps))

    def traverse(
        self,
        start: Start | None = None,
        *,
        dims: Sequence[int] | None = None,
        steps: int = 7,
        span: float = 3.0,
    ) -> Bytes:
        """Set one latent dimension after the other to values from -span to +span, and decode.

        The other dimensions keep the values of `start`, an image, a seed or a latent, or else 0.
        Returns (dims, steps, height, width[, 3]). By default all informative dimensions, the most
        informative first.
        """
        z = np.zeros(self.latent, np.float32) if start is None else self.latent_of(start)
        chosen = self.manifest.informative_dimensions() if dims is None else tuple(dims)
        wrong = [dim for dim in chosen if not 0 <= dim < self.latent]
        if wrong:
            raise ValueError(
                f"dims: the model has no dimension {wrong[0]}, only 0..{self.latent - 1}"
            )
        images = self.decode(traversal(z, chosen, traversal_values(span, steps)))
        return images.reshape(len(chosen), steps, *images.shape[1:])

    def edit(self, start: Start, moves: Mapping[str, float]) -> Bytes:
        """Move an image, a seed or a latent along directions, such as {"slant": 2}, and decode.

        The unit is one standard deviation of the data. Raises ValueError for a direction that is not
        in `directions`.
        """
        unknown = [name for name in moves if name not in self.directions]
        if unknown:
            known = ", ".join(self.directions) or "none"
            raise ValueError(f"{self.name} has no direction {unknown[0]!r}; it has: {known}")
        offsets = operations.offset(self._model, tuple(moves), tuple(moves.values()))
        z = self.latent_of(start)[None]
        moved = finish(operations.move(self._model, self._functions, z, offsets[None]))
        return np.asarray(self.decode(moved)[0])

    def score(
        self, x: ArrayLike, *, draws: int = 64, seed: int | None = None
    ) -> dict[str, NDArray[Any]]:
        """Estimate the likelihood of images, and how typical they are of the model's data.

        Returns the arrays of POST /score?format=npz: elbo_nats, reconstruction_nats, kl_nats,
        nll_nats, effective_samples, and for versions with a typicality table also score, quantile
        and verdict. Image i has the seed `seed + i`.
        """
        images = self._images(x)
        first = int(_seeds(seed, 1)[0])
        estimated = operations.estimate_evidence(self._functions, self._model, images, draws, first)
        evidence = finish(estimated)
        numbers: dict[str, NDArray[Any]] = {
            "elbo_nats": evidence.elbo,
            "reconstruction_nats": evidence.reconstruction,
            "kl_nats": evidence.kl,
            "nll_nats": evidence.nll,
            "effective_samples": evidence.effective_samples,
        }
        table = self._model.typicality
        if table is not None:
            mu, _ = self._encode(images)
            scores = table.scores_of(to_bytes(images), self._decode(mu), mu)
            numbers["score"] = scores
            numbers["quantile"] = np.array([quantile(each, table.scores) for each in scores])
            numbers["verdict"] = np.array([table.verdict(each) for each in scores])
        return numbers

    def latent_of(self, start: Start) -> Floats:
        """Return the latent of an image (its mu), of a seed, or of itself; (latent,)."""
        if isinstance(start, int | np.integer):
            return np.asarray(standard_normal(_seeds(int(start), 1), self.latent)[0])
        array = np.asarray(start)
        if array.shape == (self.latent,):
            return np.asarray(self._latents(array)[0])
        return np.asarray(self._encode(self._one_image(array))[0][0])

    # --- files and data sets ---

    def png(self, images: ArrayLike, *, columns: int | None = None, scale: int = 1) -> bytes:
        """Return images as one PNG file: a grid, or a single image.

        The layout is that of the service, whose answer with `metadata=false` has the same bytes.
        """
        levels = to_levels(images, self._model.manifest.spec.image)
        if not len(levels):
            raise ValueError("there are no images to show")
        grid = make_grid(levels, columns or square_columns(len(levels)))
        return encode_png(enlarge(grid, scale))

    def dataset(
        self,
        n: int,
        *,
        seed: int = 0,
        labels: Sequence[str] | None = None,
        temperature: float = 1.0,
    ) -> "SampledImages":
        """Return n samples as a `torch.utils.data.Dataset`; needs torch.

        With `labels`, image i is of the class `labels[i % len(labels)]`, whose index in `classes` is
        its target.
        """
        from zserve.torch_data import SampledImages  # noqa: PLC0415 - torch is optional

        return SampledImages(self, n, seed=seed, labels=labels, temperature=temperature)

    def augmented_batches(
        self,
        x: ArrayLike,
        targets: ArrayLike | None = None,
        *,
        batch_size: int = 64,
        seed: int = 0,
        temperature: float = 1.0,
        shuffle: bool = True,
    ) -> "AugmentedBatches":
        """Return an iterable of batches of variants of x; each iteration draws other variants."""
        from zserve.batches import AugmentedBatches  # noqa: PLC0415 - it imports this module

        return AugmentedBatches(
            self,
            x,
            targets,
            batch_size=batch_size,
            seed=seed,
            temperature=temperature,
            shuffle=shuffle,
        )

    # --- inside ---

    def _images(self, x: ArrayLike) -> Floats:
        """Return images in [0, 1], in steps of 1/255; (batch, channels, height, width)."""
        return from_bytes(to_levels(x, self._model.manifest.spec.image))

    def _one_image(self, x: ArrayLike) -> Floats:
        images = self._images(x)
        if len(images) != 1:
            raise ValueError(f"{len(images)} images were passed; pass one")
        return images

    def _latents(self, z: ArrayLike) -> Floats:
        """Return latents as float32, (batch, latent); raises ValueError."""
        latents = np.asarray(z, np.float32)
        if latents.ndim == 1:
            latents = latents[None]
        if latents.ndim != 2 or latents.shape[1] != self.latent:
            raise ValueError(
                f"latents have the shape {np.shape(z)}; the model takes (batch, {self.latent})"
            )
        if not np.isfinite(latents).all():
            raise ValueError("a latent is NaN or infinite")
        return latents

    def _encode(self, x: Floats) -> tuple[Floats, Floats]:
        if not len(x):
            empty = np.zeros((0, self.latent), np.float32)
            return empty, empty
        return finish(self._functions.encode(self._model, x))

    def _posterior(self, x: Floats) -> tuple[Floats, Floats]:
        """Return mu and logvar before a flow."""
        return finish(self._functions.posterior(self._model, x))

    def _variants(
        self, mu: Floats, logvar: Floats, seeds: NDArray[np.uint64], temperature: float
    ) -> Floats:
        """Draw a latent of the posterior for each seed; mu and logvar are before a flow."""
        drawn = operations.draw_variants(
            self._functions,
            self._model,
            mu,
            logvar,
            seeds=seeds,
            temperature=temperature,
        )
        return finish(drawn)

    def _draw(self, seeds: NDArray[np.uint64], label: int | None, temperature: float) -> Floats:
        """Draw a latent for each seed, of a class by its index, or of the prior."""
        if not len(seeds):
            return np.zeros((0, self.latent), np.float32)
        drawn = operations.draw_latents(self._functions, self._model, seeds, temperature, label)
        return finish(drawn)

    def _decode(self, z: Floats) -> Bytes:
        """Return levels; (batch, channels, height, width)."""
        if not len(z):
            return np.zeros((0, *self._model.manifest.spec.image.shape), np.uint8)
        return finish(self._functions.decode_levels(self._model, z))


def _seeds(seed: int | None, n: int) -> NDArray[np.uint64]:
    """Return n consecutive seeds from this one on, or from a random one; raises ValueError."""
    if n < 0:
        raise ValueError(f"n is {n}; ask for 0 or more images")
    first = random_seed() if seed is None else seed
    if not 0 <= first < SEEDS:
        raise ValueError(f"the seed is {seed}; seeds are 0..{SEEDS - 1}")
    return consecutive_seeds(first, n)
