"""Encode many images and write their latents as a table: Parquet or npz.

A Parquet file has one row for each image: its name, its label if it has one, mu_0, mu_1, ...,
logvar_0, ..., and kl_nats. It is written while images are encoded, so it may be larger than memory.
An npz file has the arrays of POST /encode?format=npz (mu, logvar, kl_nats), and names and labels.
Both name the version that encoded the images.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.imaging.npz import encode_npz
from app.typing import Bytes
from zserve.vae import VAE, Posterior

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".heic", ".heif", ".gif"})
ARRAY_SUFFIXES = frozenset({".npy", ".npz"})
FORMATS = (".parquet", ".npz")

BATCH = 512
"""Number of images that are encoded and written at a time."""


class LatentsError(Exception):
    """Images cannot be read, or latents cannot be written; the message says what to do."""


@dataclass(frozen=True, eq=False)
class NamedImages:
    """Images of a model's size, in the form of `VAE.prepare`, with names and perhaps labels."""

    images: Bytes
    names: Sequence[str]
    labels: Sequence[str] | None = None


def write_latents(vae: VAE, batches: Iterable[NamedImages], target: Path) -> int:
    """Encode images and write their latents to a .parquet or .npz file; return their number.

    The file appears when it is complete. Raises LatentsError, OSError.
    """
    writer = _writer(vae, target)
    images = 0
    try:
        for batch in batches:
            writer.add(batch, vae.encode(batch.images))
            images += len(batch.names)
        if not images:
            raise LatentsError("there are no images to encode")
        writer.close()
        _partial(target).replace(target)
    finally:
        writer.abandon()
    return images


def read_images(vae: VAE, sources: Sequence[Path], *, as_is: bool = False) -> Iterator[NamedImages]:
    """Yield the images of files, folders and arrays, up to `BATCH` at a time.

    An image in a folder below one of the sources has the name of that folder as label. An array is a
    .npy file, or a .npz file with `images` and perhaps `labels`; its images have the model's size.
    Raises LatentsError.
    """
    pending: list[tuple[Path, str, str | None]] = []
    for source in sources:
        if source.suffix.lower() in ARRAY_SUFFIXES:
            yield from _from_array(source)
            continue
        for entry in _image_files(source):
            pending.append(entry)
            if len(pending) == BATCH:
                yield _from_files(vae, pending, as_is=as_is)
                pending = []
    if pending:
        yield _from_files(vae, pending, as_is=as_is)


# --- reading -----------------------------------------------------------------------------------


def _image_files(source: Path) -> list[tuple[Path, str, str | None]]:
    """Return the image files of a source, sorted: path, name, label."""
    if not source.is_dir():
        return [(source, source.name, None)]
    paths = sorted(
        path
        for path in source.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )
    if not paths:
        raise LatentsError(f"{source} has no image files; name a folder of PNG or JPEG files")
    names = [path.relative_to(source) for path in paths]
    return [
        (path, name.as_posix(), name.parts[0] if len(name.parts) > 1 else None)
        for path, name in zip(paths, names, strict=True)
    ]


def _from_files(
    vae: VAE, entries: Sequence[tuple[Path, str, str | None]], *, as_is: bool
) -> NamedImages:
    """Read and prepare image files; the error of one of them names it."""
    images = vae.prepare(*(path for path, _, _ in entries), as_is=as_is)
    labels = [label for _, _, label in entries]
    known = [label or "" for label in labels] if any(labels) else None
    return NamedImages(images, [name for _, name, _ in entries], known)


def _from_array(path: Path) -> Iterator[NamedImages]:
    """Yield the images of a .npy or .npz file."""
    images, labels = _read_array(path)
    if labels is not None and len(labels) != len(images):
        raise LatentsError(f"{path}: {len(images)} images have {len(labels)} labels")
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        names = [f"{path.name}[{i}]" for i in range(start, start + len(part))]
        yield NamedImages(
            part, names, None if labels is None else [str(each) for each in labels[start:][:BATCH]]
        )


def _read_array(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    try:
        content = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise LatentsError(f"{path} cannot be read as an array of numpy: {error}") from error
    if isinstance(content, np.ndarray):
        return content, None
    with content:
        if "images" not in content:
            raise LatentsError(
                f"{path} has no array `images`; it has: {', '.join(content.files) or 'nothing'}"
            )
        return content["images"], content.get("labels")


# --- writing -----------------------------------------------------------------------------------


class _Writer(Protocol):
    """Writes the latents of batches to a partial file."""

    def add(self, batch: NamedImages, posterior: Posterior) -> None:
        """Write one batch."""

    def close(self) -> None:
        """Complete the partial file."""

    def abandon(self) -> None:
        """Remove the partial file, if there is one."""


def _writer(vae: VAE, target: Path) -> _Writer:
    if target.suffix == ".parquet":
        return _ParquetWriter(vae, target)
    if target.suffix == ".npz":
        return _NpzWriter(vae, target)
    raise LatentsError(f"{target} ends with none of {', '.join(FORMATS)}, which are the formats")


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _provenance(vae: VAE) -> str:
    """Return the version that encodes, as JSON."""
    weights = vae.manifest.weights_sha256
    return json.dumps({"model": vae.name, "weights_sha256": weights, "classes": vae.classes})


class _NpzWriter:
    """Collects all latents, and writes one npz file."""

    def __init__(self, vae: VAE, target: Path) -> None:
        self._vae, self._target = vae, target
        self._posteriors: list[Posterior] = []
        self._names: list[str] = []
        self._labels: list[str] = []

    def add(self, batch: NamedImages, posterior: Posterior) -> None:
        """Keep one batch."""
        self._posteriors.append(posterior)
        self._names += batch.names
        self._labels += batch.labels if batch.labels is not None else [""] * len(batch.names)

    def close(self) -> None:
        """Write the file."""
        mu, logvar = (
            np.concatenate([getattr(each, name) for each in self._posteriors])
            for name in ("mu", "logvar")
        )
        arrays: dict[str, NDArray[Any]] = {
            "mu": mu,
            "logvar": logvar,
            "kl_nats": Posterior(mu, logvar).kl_nats,
            "names": np.array(self._names),
        }
        if any(self._labels):
            arrays["labels"] = np.array(self._labels)
        arrays["parameters"] = np.array(_provenance(self._vae))
        _partial(self._target).write_bytes(encode_npz(arrays))

    def abandon(self) -> None:
        """Remove the partial file."""
        _partial(self._target).unlink(missing_ok=True)


class _ParquetWriter:
    """Writes each batch as a row group of a Parquet file; needs pyarrow."""

    def __init__(self, vae: VAE, target: Path) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - optional
            import pyarrow.parquet as pq  # noqa: PLC0415 - optional
        except ModuleNotFoundError as error:
            raise LatentsError(
                "Parquet files need pyarrow: pip install 'zserve[parquet]'; or write an .npz file"
            ) from error
        self._pa, self._target = pa, target
        numbers = [
            *(f"mu_{i}" for i in range(vae.latent)),
            *(f"logvar_{i}" for i in range(vae.latent)),
            "kl_nats",
        ]
        fields = [("image", pa.string()), ("label", pa.string())]
        fields += [(name, pa.float32()) for name in numbers]
        self._schema: pa.Schema = pa.schema(fields, metadata={"zserve": _provenance(vae)})
        self._file = pq.ParquetWriter(_partial(target), self._schema)

    def add(self, batch: NamedImages, posterior: Posterior) -> None:
        """Write one batch; images without a label have null."""
        labels = batch.labels if batch.labels is not None else [""] * len(batch.names)
        columns = {
            "image": list(batch.names),
            "label": [label or None for label in labels],
            **posterior.columns(),
        }
        self._file.write_table(self._pa.table(columns, schema=self._schema))

    def close(self) -> None:
        """Complete the file."""
        self._file.close()

    def abandon(self) -> None:
        """Close and remove the partial file."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(FileNotFoundError):
            _partial(self._target).unlink()
