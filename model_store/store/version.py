"""One version on disk: a folder of files that its manifest.json vouches for.

    weights.safetensors         the tensors; never a pickle
    class_latents.safetensors   where the latents of each class lie, where that is known
    card.md                     for people
    *.png                       figures
    manifest.json               what it is, how it was made, size and SHA-256 of all of the above

Files are checked as they are read: the bytes whose checksum was verified are the bytes used.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import safetensors.numpy
import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from model_store.class_latents import NO_CLASSES, ClassLatents, from_arrays, to_arrays
from model_store.errors import (
    ChecksumError,
    CorruptVersionError,
    FigureNotFoundError,
    ManifestError,
    NonFiniteError,
    ShapeError,
)
from model_store.spec import Description, FileRecord, Manifest, ModelSpec
from model_store.vae.model import expected_tensors

WEIGHTS = "weights.safetensors"
CLASS_LATENTS = "class_latents.safetensors"
CARD = "card.md"
MANIFEST = "manifest.json"


# --- writing -----------------------------------------------------------------------------------


def to_bytes(weights: Mapping[str, Tensor]) -> bytes:
    """The content of weights.safetensors."""
    return safetensors.torch.save({k: v.detach().cpu().contiguous() for k, v in weights.items()})


def class_latents_to_bytes(classes: ClassLatents) -> bytes:
    """The content of class_latents.safetensors."""
    return safetensors.numpy.save(to_arrays(classes))


def record(content: bytes) -> FileRecord:
    """Size and checksum of a file with this content."""
    return FileRecord(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- reading -----------------------------------------------------------------------------------


def read_manifest(folder: Path) -> Manifest:
    """The validated manifest of a version; raises ManifestError."""
    where = f"{folder.parent.name}@{folder.name}"
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise ManifestError(f"{where}: cannot read {MANIFEST}: {error.strerror}") from error
    except ValidationError as error:
        raise ManifestError(f"{where}: {MANIFEST} is not valid: {_first_problem(error)}") from error
    if str(manifest.ref) != where:
        raise ManifestError(f"{where}: {MANIFEST} says that it is {manifest.ref}")
    if WEIGHTS not in manifest.files:
        raise ManifestError(f"{where}: {MANIFEST} lists no {WEIGHTS}")
    return manifest


def read_file(folder: Path, manifest: Manifest, filename: str) -> bytes:
    """The content of one file of a version, checked; raises ChecksumError."""
    expected = manifest.files[filename]
    try:
        content = (folder / filename).read_bytes()
    except OSError as error:
        raise ChecksumError(
            f"{manifest.ref}: cannot read {filename}: {error.strerror}; republish it"
        ) from error
    found = record(content)
    if found != expected:
        raise ChecksumError(
            f"{manifest.ref}: {filename} is {found.size_bytes} bytes with SHA-256 "
            f"{found.sha256[:12]}..., the manifest asks for {expected.size_bytes} bytes with "
            f"{expected.sha256[:12]}...; republish it"
        )
    return content


def read_figure(folder: Path, manifest: Manifest, figure: str) -> bytes:
    """The PNG of a figure, checked; raises FigureNotFoundError, ChecksumError."""
    if figure not in manifest.figures:
        raise FigureNotFoundError(
            f"{manifest.ref} has no figure {figure[:80]!r}; "
            f"it has {', '.join(manifest.figures) or 'none'}"
        )
    return read_file(folder, manifest, f"{figure}.png")


def read_weights(folder: Path, manifest: Manifest) -> dict[str, Tensor]:
    """The tensors of a version, on the CPU: checksum, names, shapes, types and values checked.

    Tensors that are stored in 16 bits come back in the 32 bits that the network computes in.
    """
    content = read_file(folder, manifest, WEIGHTS)
    try:
        weights = safetensors.torch.load(content)
    except SafetensorError as error:
        raise CorruptVersionError(f"{manifest.ref}: {WEIGHTS} is unreadable: {error}") from error
    check_weights(str(manifest.ref), manifest.spec, weights)
    return {name: _computable(tensor) for name, tensor in weights.items()}


def read_class_latents(folder: Path, manifest: Manifest) -> ClassLatents:
    """A mixture for each class, none where the version has none; checked like the weights."""
    if CLASS_LATENTS not in manifest.files:
        return NO_CLASSES
    content = read_file(folder, manifest, CLASS_LATENTS)
    try:
        class_latents = from_arrays(safetensors.numpy.load(content))
    except (SafetensorError, ValueError) as error:
        raise CorruptVersionError(f"{manifest.ref}: {CLASS_LATENTS}: {error}") from error
    check_class_latents(str(manifest.ref), manifest, class_latents)
    return class_latents


def check_class_latents(ref: str, description: Description, class_latents: ClassLatents) -> None:
    """Raise ShapeError unless there is a mixture for each class, in the model's latents."""
    if class_latents.before_flow and description.spec.prior is None:
        raise ShapeError(
            f"{ref}: {CLASS_LATENTS} says that it lies before a flow, and the spec has none; "
            "republish it"
        )
    classes = description.classes or ()
    if len(class_latents) != len(classes):
        raise ShapeError(
            f"{ref}: {CLASS_LATENTS} has {len(class_latents)} classes, "
            f"the manifest names {len(classes)}; republish it"
        )
    for mixture, name in zip(class_latents, classes, strict=True):
        if mixture.latent != description.spec.latent:
            raise ShapeError(
                f"{ref}: {CLASS_LATENTS}: class {name} has {mixture.latent} latent dimensions, "
                f"the spec asks for {description.spec.latent}; republish it"
            )


def check_weights(ref: str, spec: ModelSpec, weights: Mapping[str, Tensor]) -> None:
    """Raise ShapeError or NonFiniteError unless the tensors are what the spec asks for."""
    expected = expected_tensors(spec)
    for name in expected.keys() | weights.keys():
        if name not in weights:
            raise ShapeError(f"{ref}: tensor {name} is missing; republish it")
        if name not in expected:
            raise ShapeError(f"{ref}: tensor {name} is not part of the spec; republish it")
        found, wanted = weights[name], expected[name]
        if found.shape != wanted.shape or _computable(found).dtype != wanted.dtype:
            raise ShapeError(
                f"{ref}: tensor {name} is {_describe(found)}, "
                f"the spec asks for {_describe(wanted)}; republish it"
            )
        if not torch.isfinite(found).all():
            bad = int((~torch.isfinite(found)).sum())
            raise NonFiniteError(
                f"{ref}: tensor {name} holds {bad} values that are NaN or infinite; retrain it"
            )


def _computable(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in {torch.float16, torch.bfloat16} else tensor


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    location = ".".join(str(part) for part in problem["loc"])
    return f"{location}: {problem['msg']}" if location else str(problem["msg"])
