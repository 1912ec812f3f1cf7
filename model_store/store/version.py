"""One version on disk: a folder of files, whose sizes and checksums are in its manifest.json.

    weights.safetensors         the float weights; never a pickle; optional in an exact version
    exact.safetensors           the exact network, if the arithmetic is exact
    golden.json                 SHA-256 of the exact network's results for fixed inputs
    pixels.safetensors          grey levels counted beside logits, by which images are compressed
    class_latents.safetensors   a mixture for each class, if the model has any
    card.md                     for people
    *.png                       figures
    manifest.json               what it is, how it was made, size and SHA-256 of all of the above

Files are checked as they are read: the bytes whose checksum was verified are the bytes used.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from model_store import class_latents as latents
from model_store.arithmetic import file as exact_file
from model_store.arithmetic.program import ExactNetwork
from model_store.arithmetic.proof import prove
from model_store.class_latents import NO_CLASSES, ClassLatents
from model_store.compression import pixels as pixel_tables
from model_store.compression.pixels import CountedPixels
from model_store.errors import (
    ChecksumError,
    CorruptVersionError,
    FigureNotFoundError,
    FloatWeightsNotFoundError,
    ManifestError,
    NonFiniteError,
    ShapeError,
)
from model_store.spec import Description, FileRecord, Manifest, ModelSpec, Sha256
from model_store.store.tensors import Array, parse_safetensors, to_safetensors
from model_store.weight_shapes import weight_shapes

WEIGHTS = "weights.safetensors"
EXACT = "exact.safetensors"
GOLDEN = "golden.json"
PIXELS = "pixels.safetensors"
CLASS_LATENTS = "class_latents.safetensors"
CARD = "card.md"
MANIFEST = "manifest.json"

REQUIRED = {"float": (WEIGHTS,), "exact-1": (EXACT, GOLDEN)}
"""Files that a version of each arithmetic must have."""

_HASHES = TypeAdapter(dict[str, Sha256])


def record(content: bytes) -> FileRecord:
    """Return size and checksum of a file with this content."""
    return FileRecord(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


# --- reading -----------------------------------------------------------------------------------


def read_manifest(folder: Path) -> Manifest:
    """Read and validate the manifest of a version; raises ManifestError."""
    ref = f"{folder.parent.name}@{folder.name}"
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise ManifestError(f"{ref}: cannot read {MANIFEST}: {error.strerror}") from error
    except ValidationError as error:
        raise ManifestError(f"{ref}: {MANIFEST} is not valid: {_first_problem(error)}") from error
    if str(manifest.ref) != ref:
        raise ManifestError(f"{ref}: {MANIFEST} belongs to {manifest.ref}")
    for filename in REQUIRED[manifest.arithmetic]:
        if filename not in manifest.files:
            raise ManifestError(f"{ref}: {MANIFEST} lists no {filename}")
    return manifest


def read_file(folder: Path, manifest: Manifest, filename: str) -> bytes:
    """Read one file of a version and check it; raises ChecksumError."""
    expected = manifest.files[filename]
    try:
        content = (folder / filename).read_bytes()
    except OSError as error:
        raise ChecksumError(
            f"{manifest.ref}: cannot read {filename}: {error.strerror}; republish it"
        ) from error
    actual = record(content)
    if actual != expected:
        raise ChecksumError(
            f"{manifest.ref}: {filename} is {actual.size_bytes} bytes with SHA-256 "
            f"{actual.sha256[:12]}..., the manifest asks for {expected.size_bytes} bytes with "
            f"{expected.sha256[:12]}...; republish it"
        )
    return content


def read_figure(folder: Path, manifest: Manifest, figure: str) -> bytes:
    """Read the PNG of a figure and check it; raises FigureNotFoundError, ChecksumError."""
    if figure not in manifest.figures:
        raise FigureNotFoundError(
            f"{manifest.ref} has no figure {figure[:80]!r}; "
            f"it has {', '.join(manifest.figures) or 'none'}"
        )
    return read_file(folder, manifest, f"{figure}.png")


def read_weights(folder: Path, manifest: Manifest) -> dict[str, Array]:
    """Read the float weights of a version; check checksum, names, shapes, types and values.

    Weights that are stored in 16 bits are returned in the 32 bits that the network computes in.
    Raises FloatWeightsNotFoundError, CorruptVersionError.
    """
    if WEIGHTS not in manifest.files:
        raise FloatWeightsNotFoundError(
            f"{manifest.ref} is published without float weights; to train from them, choose a "
            "version that has them"
        )
    content = read_file(folder, manifest, WEIGHTS)
    try:
        weights = parse_safetensors(content)
    except ValueError as error:
        raise CorruptVersionError(f"{manifest.ref}: {WEIGHTS} is unreadable: {error}") from error
    check_weights(str(manifest.ref), manifest.spec, weights)
    return {name: array.astype(_computed_in(array), copy=False) for name, array in weights.items()}


def read_network(folder: Path, manifest: Manifest) -> ExactNetwork | None:
    """Read the exact network of a version and prove it; return None for a float version."""
    if manifest.arithmetic == "float":
        return None
    content = read_file(folder, manifest, EXACT)
    try:
        network = exact_file.from_bytes(content)
        prove(network, manifest.spec)
    except CorruptVersionError as error:
        raise type(error)(f"{manifest.ref}: {EXACT}: {error}") from error
    return network


def read_golden(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Read the golden hashes, function -> SHA-256; return {} for a float version."""
    if manifest.arithmetic == "float":
        return {}
    try:
        return _HASHES.validate_json(read_file(folder, manifest, GOLDEN))
    except ValidationError as error:
        problem = _first_problem(error)
        raise CorruptVersionError(f"{manifest.ref}: {GOLDEN} is not valid: {problem}") from error


def exact_files(network: ExactNetwork, golden: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files of an exact network: name -> content."""
    hashes = json.dumps(golden, indent=2, sort_keys=True) + "\n"
    return {EXACT: exact_file.to_bytes(network), GOLDEN: hashes.encode()}


def read_pixels(folder: Path, manifest: Manifest) -> CountedPixels | None:
    """Read the pixel table of a version and check it; return None if the version has none."""
    if PIXELS not in manifest.files:
        return None
    content = read_file(folder, manifest, PIXELS)
    try:
        return pixel_tables.from_bytes(content)
    except CorruptVersionError as error:
        raise CorruptVersionError(f"{manifest.ref}: {PIXELS}: {error}") from error


def read_class_latents(folder: Path, manifest: Manifest) -> ClassLatents:
    """Read the mixture of each class and check it; return NO_CLASSES if the version has none."""
    if CLASS_LATENTS not in manifest.files:
        return NO_CLASSES
    content = read_file(folder, manifest, CLASS_LATENTS)
    try:
        class_latents = latents.from_arrays(parse_safetensors(content))
    except ValueError as error:
        raise CorruptVersionError(f"{manifest.ref}: {CLASS_LATENTS}: {error}") from error
    check_class_latents(str(manifest.ref), manifest, class_latents)
    return class_latents


def class_latents_file(class_latents: ClassLatents) -> bytes:
    """Return the content of class_latents.safetensors."""
    return to_safetensors(latents.to_arrays(class_latents))


# --- checking ----------------------------------------------------------------------------------


def check_class_latents(ref: str, description: Description, class_latents: ClassLatents) -> None:
    """Raise ShapeError unless there is a mixture for each class, of the spec's dimensions."""
    if class_latents.before_flow and description.spec.prior is None:
        raise ShapeError(
            f"{ref}: {CLASS_LATENTS} is made for a flow, and the spec has none; republish it"
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


def check_weights(ref: str, spec: ModelSpec, weights: Mapping[str, Array]) -> None:
    """Raise ShapeError or NonFiniteError unless the weights are what the spec asks for."""
    expected = weight_shapes(spec)
    for name in sorted(expected.keys() | weights.keys()):
        if name not in weights:
            raise ShapeError(f"{ref}: tensor {name} is missing; republish it")
        if name not in expected:
            raise ShapeError(f"{ref}: tensor {name} is not part of the spec; republish it")
        weight, wanted = weights[name], expected[name]
        if weight.shape != wanted.shape or _computed_in(weight) != wanted.dtype:
            raise ShapeError(
                f"{ref}: tensor {name} is {weight.shape} {weight.dtype}, "
                f"the spec asks for {wanted}; republish it"
            )
        bad = int(np.count_nonzero(~np.isfinite(weight)))
        if bad:
            raise NonFiniteError(
                f"{ref}: tensor {name} holds {bad} values that are NaN or infinite; retrain it"
            )


def _computed_in(weight: Array) -> np.dtype[np.generic]:
    """Return the type in which the network computes with this stored weight."""
    return np.dtype(np.float32) if weight.dtype == np.float16 else weight.dtype


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    location = ".".join(str(part) for part in problem["loc"])
    return f"{location}: {problem['msg']}" if location else str(problem["msg"])
