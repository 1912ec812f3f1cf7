"""One version: a folder of regular files, each with its checksum.

    weights.safetensors         the float weights; never a pickle; optional in an exact version
    exact.safetensors           the exact network, if the arithmetic is exact
    golden.json                 SHA-256 of the exact network's results for fixed inputs
    pixels.safetensors          grey levels counted beside logits, by which images are compressed
    class_latents.safetensors   a mixture for each class, if the model has any
    directions.safetensors      directions of the latent space with a meaning, if the model has any
    typicality.json             how typical its test images are; older versions have none
    encoded_images.safetensors  latents of test images; older versions have none
    snapshots.json              what it drew while it learnt, if that was kept
    card.md                     for people
    *.png                       figures
    manifest.json               what it is, how it was made, size and SHA-256 of all of the above
    SHA256SUMS                  SHA-256 of all of the above; older versions have none, see checksums.py
    model.sig                   signature of all of the above, if the version is signed; see signing.py

Files are checked as they are read: the bytes whose checksum was verified are the bytes used. All
files are checked when a version is loaded, also those that people look at, such as figures.
"""

import codecs
import json
from collections.abc import Mapping

import numpy as np
from pydantic import TypeAdapter, ValidationError

from model_store import class_latents as latents
from model_store import directions as latent_directions
from model_store import encoded_images as encoded_image_files
from model_store import json_files
from model_store import snapshots as training_snapshots
from model_store import typicality as typicality_tables
from model_store.arithmetic import file as exact_file
from model_store.arithmetic.program import ExactNetwork
from model_store.arithmetic.proof import prove
from model_store.class_latents import NO_CLASSES, ClassLatents
from model_store.compression import pixels as pixel_tables
from model_store.compression.pixels import CountedPixels
from model_store.directions import NO_DIRECTIONS, Directions
from model_store.encoded_images import EncodedImages
from model_store.errors import (
    ChecksumError,
    CorruptVersionError,
    EncodedImagesNotFoundError,
    FigureNotFoundError,
    FileNotInVersionError,
    FloatWeightsNotFoundError,
    GraphError,
    ManifestError,
    NonFiniteError,
    NotFoundError,
    ShapeError,
    SignatureError,
    SnapshotsNotFoundError,
)
from model_store.graphs.pair import DECODER, ENCODER, checked_graphs
from model_store.network_size import excess
from model_store.spec import Description, FileRecord, Manifest, ModelSpec, Onnx, Package, Sha256
from model_store.store.backend import VersionFiles
from model_store.store.checksums import (
    CHECKSUMS,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    checksums,
    record,
)
from model_store.store.signing import MAX_SIGNATURE_BYTES, SIGNATURE
from model_store.store.tensors import Array, parse_safetensors, to_safetensors
from model_store.typicality import Typicality
from model_store.weight_shapes import weight_shapes

WEIGHTS = "weights.safetensors"
EXACT = "exact.safetensors"
GOLDEN = "golden.json"
PIXELS = "pixels.safetensors"
CLASS_LATENTS = "class_latents.safetensors"
DIRECTIONS = "directions.safetensors"
TYPICALITY = "typicality.json"
ENCODED_IMAGES = "encoded_images.safetensors"
SNAPSHOTS = "snapshots.json"
CARD = "card.md"

REQUIRED = {"float": (WEIGHTS, CARD), "exact-1": (EXACT, GOLDEN, CARD)}
"""Files that a version of each arithmetic must have."""
_OPTIONAL = {PIXELS, CLASS_LATENTS, DIRECTIONS, TYPICALITY, ENCODED_IMAGES, SNAPSHOTS}
_COMPUTED_WITH = {"float": {WEIGHTS, *_OPTIONAL}, "exact-1": {EXACT, GOLDEN, *_OPTIONAL}}
"""Files whose content is parsed when a version of each arithmetic is loaded."""

_QUICKLY_CHECKED = {GOLDEN, DIRECTIONS, ENCODED_IMAGES, SNAPSHOTS}
"""Files whose content is checked whenever they are read alone."""
_MAX_BYTES = {
    GOLDEN: 64 * 1024,
    TYPICALITY: typicality_tables.MAX_BYTES,
    ENCODED_IMAGES: encoded_image_files.MAX_BYTES,
    SNAPSHOTS: training_snapshots.MAX_BYTES,
}
"""Largest files of these names that are read, in bytes."""
_MISSING: Mapping[str, tuple[type[NotFoundError], str]] = {
    EXACT: (FileNotInVersionError, f"is not an exact version, so it has no {EXACT}"),
    GOLDEN: (FileNotInVersionError, f"is not an exact version, so it has no {GOLDEN}"),
    DIRECTIONS: (FileNotInVersionError, f"has no directions, so it has no {DIRECTIONS}"),
    ENCODED_IMAGES: (
        EncodedImagesNotFoundError,
        "was published without latents of test images",
    ),
    SNAPSHOTS: (
        SnapshotsNotFoundError,
        "is published without snapshots of its training; versions that are trained now have them",
    ),
}
"""Errors and reasons if a version lacks a file of these names."""

Contents = Mapping[str, bytes]
"""Checked files of a version, name -> content."""

_HASHES = TypeAdapter(dict[str, Sha256])
_REQUIRED_HASHES = {"encode", "decode"}
_OTHER_HASHES = {"log_likelihood", "to_u", "to_z"}
"""Functions of an exact network that golden.json may name."""


# --- reading -----------------------------------------------------------------------------------


def read_manifest(version: VersionFiles) -> Manifest:
    """Read and validate the manifest of a version.

    Raises ChecksumError if SHA256SUMS does not fit it, and ManifestError.
    """
    ref = str(version)
    try:
        link = version.find_link()
        content = version.read(MANIFEST, MAX_MANIFEST_BYTES)
    except OSError as error:
        raise ManifestError(f"{ref}: cannot read {MANIFEST}: {error.strerror}") from error
    manifest = parse_manifest(ref, content)
    too_large = excess(manifest.spec)
    if too_large is not None:
        raise ManifestError(f"{ref}: {MANIFEST}: spec: {too_large}")
    if link is not None:
        raise CorruptVersionError(
            f"{ref}: {link} is a symbolic link, whose target may change; replace it by the file"
        )
    _check_listed_files(manifest)
    stated = read_checksums(version)
    if stated is not None and stated != checksums(manifest.files, content):
        raise ChecksumError(
            f"{ref}: {MANIFEST} and {CHECKSUMS} do not fit each other, so one of them was changed; "
            "republish it"
        )
    return manifest


def parse_manifest(ref: str, content: bytes) -> Manifest:
    """Validate the manifest of the version `ref`; raises ManifestError."""
    try:
        manifest = Manifest.model_validate_json(content.removeprefix(codecs.BOM_UTF8))
    except ValidationError as error:
        raise ManifestError(
            f"{ref}: {MANIFEST} is not valid: {json_files.first_problem(error)}"
        ) from error
    if str(manifest.ref) != ref:
        raise ManifestError(f"{ref}: {MANIFEST} belongs to {manifest.ref}")
    return manifest


def read_signature(version: VersionFiles) -> bytes | None:
    """Return the signature of a version, or None if it is not signed; raises SignatureError."""
    try:
        return version.read(SIGNATURE, MAX_SIGNATURE_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SignatureError(f"{version}: cannot read {SIGNATURE}: {error.strerror}") from error


def _check_listed_files(manifest: Manifest) -> None:
    """Raise CorruptVersionError if a manifest lacks a file, or if one is larger than it may be."""
    for filename in REQUIRED[manifest.arithmetic]:
        if filename not in manifest.files:
            raise ManifestError(f"{manifest.ref}: {MANIFEST} lists no {filename}")
    for filename, most in _MAX_BYTES.items():
        if filename in manifest.files and (size := manifest.files[filename].size_bytes) > most:
            raise CorruptVersionError(
                f"{manifest.ref}: {filename}: it has {size} bytes, at most {most} are read; republish it"
            )


def read_checksums(version: VersionFiles) -> bytes | None:
    """Return the content of SHA256SUMS, or None if the version was published without it."""
    try:
        return version.read(CHECKSUMS, MAX_MANIFEST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ChecksumError(
            f"{version}: cannot read {CHECKSUMS}: {error.strerror}; republish it"
        ) from error


def read_files(version: VersionFiles, manifest: Manifest) -> dict[str, bytes]:
    """Check all files of a version, and return those whose content is checked further.

    Raises ChecksumError.
    """
    kept = {}
    for filename in manifest.files:
        content = read_file(version, manifest, filename)
        if filename in _COMPUTED_WITH[manifest.arithmetic]:
            kept[filename] = content
    return kept


def read_file(version: VersionFiles, manifest: Manifest, filename: str) -> bytes:
    """Read one file of a version and check it; raises ChecksumError."""
    expected = manifest.files[filename]
    try:
        content = version.read(filename, expected.size_bytes, expected.sha256)
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


def read_figure(version: VersionFiles, manifest: Manifest, figure: str) -> bytes:
    """Read the PNG of a figure and check it; raises FigureNotFoundError, ChecksumError."""
    if figure not in manifest.figures:
        raise FigureNotFoundError(
            f"{manifest.ref} has no figure {figure[:80]!r}; "
            f"it has {', '.join(manifest.figures) or 'none'}"
        )
    return read_file(version, manifest, f"{figure}.png")


def file_record(manifest: Manifest, filename: str) -> FileRecord:
    """Return size and checksum of a file; raises NotFoundError if the version lacks it."""
    if filename not in manifest.files:
        unlisted = (FileNotInVersionError, f"has no file {filename[:80]!r}")
        kind, reason = _MISSING.get(filename, unlisted)
        raise kind(f"{manifest.ref} {reason}")
    return manifest.files[filename]


def read_listed_file(version: VersionFiles, manifest: Manifest, filename: str) -> bytes:
    """Read a file and check it, also its content if that is quick.

    Raises NotFoundError if the version lacks it, and CorruptVersionError.
    """
    file_record(manifest, filename)
    content = read_file(version, manifest, filename)
    if filename in _QUICKLY_CHECKED:
        files = {filename: content}
        check_snapshots(manifest, files)
        parse_encoded_images(manifest, files)
        if filename == GOLDEN:
            parse_golden(manifest, files)
        if filename == DIRECTIONS:
            parse_directions(manifest, files)
    return content


def read_card(version: VersionFiles, manifest: Manifest) -> str:
    """Read the card of a version and check it; raises CorruptVersionError."""
    try:
        return read_file(version, manifest, CARD).decode()
    except UnicodeDecodeError as error:
        raise CorruptVersionError(f"{manifest.ref}: {CARD} is not UTF-8: {error}") from error


def read_float_weights(version: VersionFiles, manifest: Manifest) -> dict[str, Array]:
    """Read the float weights of a version, also of an exact one.

    Raises FloatWeightsNotFoundError, CorruptVersionError.
    """
    if isinstance(manifest.spec.network, Onnx):
        raise FloatWeightsNotFoundError(
            f"{manifest.ref} consists of graphs of ONNX, which have no layers to train or to write; "
            "choose another version"
        )
    if WEIGHTS not in manifest.files:
        raise FloatWeightsNotFoundError(
            f"{manifest.ref} is published without float weights; to train from them, choose a "
            "version that has them"
        )
    return parse_weights(manifest, {WEIGHTS: read_file(version, manifest, WEIGHTS)})


# --- parsing -----------------------------------------------------------------------------------


def parse_weights(manifest: Manifest, files: Contents) -> dict[str, Array]:
    """Return the float weights; check names, shapes, types and values.

    Weights that are stored in 16 bits are returned in the 32 bits that the network computes in.
    Raises CorruptVersionError.
    """
    try:
        weights = parse_safetensors(files[WEIGHTS])
    except ValueError as error:
        raise CorruptVersionError(f"{manifest.ref}: {WEIGHTS} is unreadable: {error}") from error
    check_weights(str(manifest.ref), manifest.spec, weights)
    return {name: array.astype(_computed_in(array), copy=False) for name, array in weights.items()}


def parse_network(manifest: Manifest, files: Contents) -> ExactNetwork | None:
    """Prove the exact network of a version and return it; return None for a float version.

    Raises CorruptVersionError, and its subclass ProofError.
    """
    if manifest.arithmetic == "float":
        return None
    try:
        network = exact_file.from_bytes(files[EXACT])
        prove(network, manifest.spec)
    except CorruptVersionError as error:
        raise type(error)(f"{manifest.ref}: {EXACT}: {error}") from error
    return network


def parse_golden(manifest: Manifest, files: Contents) -> dict[str, str]:
    """Return the golden hashes, function -> SHA-256, or {} for a float version.

    Raises CorruptVersionError.
    """
    if manifest.arithmetic == "float":
        return {}
    try:
        golden = _HASHES.validate_json(files[GOLDEN])
    except ValidationError as error:
        problem = json_files.first_problem(error)
        raise CorruptVersionError(f"{manifest.ref}: {GOLDEN} is not valid: {problem}") from error
    if not _REQUIRED_HASHES <= golden.keys() <= _REQUIRED_HASHES | _OTHER_HASHES:
        raise CorruptVersionError(
            f"{manifest.ref}: {GOLDEN} has hashes of {', '.join(sorted(golden))[:200] or 'nothing'}; "
            f"{' and '.join(sorted(_REQUIRED_HASHES))} are required, and "
            f"{', '.join(sorted(_OTHER_HASHES))} are allowed; republish it"
        )
    return golden


def exact_files(network: ExactNetwork, golden: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files of an exact network: name -> content."""
    hashes = json.dumps(golden, indent=2, sort_keys=True) + "\n"
    return {EXACT: exact_file.to_bytes(network), GOLDEN: hashes.encode()}


def parse_pixels(manifest: Manifest, files: Contents) -> CountedPixels | None:
    """Check the pixel table of a version and return it, or None if the version has none.

    Raises CorruptVersionError.
    """
    if PIXELS not in files:
        return None
    try:
        return pixel_tables.from_bytes(files[PIXELS])
    except CorruptVersionError as error:
        raise CorruptVersionError(f"{manifest.ref}: {PIXELS}: {error}") from error


def parse_typicality(manifest: Manifest, files: Contents) -> Typicality | None:
    """Check the typicality table of a version and return it, or None if the version has none.

    Raises CorruptVersionError.
    """
    if TYPICALITY not in files:
        return None
    try:
        return typicality_tables.from_bytes(files[TYPICALITY])
    except CorruptVersionError as error:
        raise CorruptVersionError(f"{manifest.ref}: {TYPICALITY}: {error}; republish it") from error


def parse_encoded_images(manifest: Manifest, files: Contents) -> EncodedImages | None:
    """Check the latents of test images and return them, or None if the version has none.

    Raises CorruptVersionError (of which ShapeError is a subclass).
    """
    if ENCODED_IMAGES not in files:
        return None
    try:
        encoded_image_files.check_size(files[ENCODED_IMAGES])
        encoded = encoded_image_files.from_arrays(parse_safetensors(files[ENCODED_IMAGES]))
    except (CorruptVersionError, ValueError) as error:
        raise CorruptVersionError(
            f"{manifest.ref}: {ENCODED_IMAGES}: {error}; republish it"
        ) from error
    check_encoded_images(str(manifest.ref), manifest, encoded)
    return encoded


def encoded_images_file(encoded: EncodedImages) -> bytes:
    """Return the content of encoded_images.safetensors."""
    return to_safetensors(encoded_image_files.to_arrays(encoded))


def check_snapshots(manifest: Manifest, files: Contents) -> None:
    """Raise CorruptVersionError unless the snapshots of a version, if it has any, fit it."""
    if SNAPSHOTS not in files:
        return
    try:
        snapshots = training_snapshots.from_bytes(files[SNAPSHOTS])
        snapshots.check_fit(manifest.spec, manifest.classes)
    except (CorruptVersionError, ValueError) as error:
        raise CorruptVersionError(f"{manifest.ref}: {SNAPSHOTS}: {error}; republish it") from error


def parse_class_latents(manifest: Manifest, files: Contents) -> ClassLatents:
    """Check the mixture of each class and return them, or NO_CLASSES if the version has none.

    Raises CorruptVersionError (of which ShapeError is a subclass).
    """
    if CLASS_LATENTS not in files:
        return NO_CLASSES
    try:
        class_latents = latents.from_arrays(parse_safetensors(files[CLASS_LATENTS]))
    except ValueError as error:
        raise CorruptVersionError(f"{manifest.ref}: {CLASS_LATENTS}: {error}") from error
    check_class_latents(str(manifest.ref), manifest, class_latents)
    return class_latents


def class_latents_file(class_latents: ClassLatents) -> bytes:
    """Return the content of class_latents.safetensors."""
    return to_safetensors(latents.to_arrays(class_latents))


def parse_directions(manifest: Manifest, files: Contents) -> Directions:
    """Check the directions of a version and return them, or NO_DIRECTIONS if it has none.

    Raises CorruptVersionError (of which ShapeError is a subclass).
    """
    names = manifest.direction_names
    if DIRECTIONS not in files:
        if names:
            raise CorruptVersionError(
                f"{manifest.ref}: the manifest names directions, and {DIRECTIONS} is missing; "
                "republish it"
            )
        return NO_DIRECTIONS
    try:
        arrays = parse_safetensors(files[DIRECTIONS])
        directions = latent_directions.from_arrays(names, arrays)
    except ValueError as error:
        raise CorruptVersionError(f"{manifest.ref}: {DIRECTIONS}: {error}") from error
    check_directions(str(manifest.ref), manifest, directions)
    return directions


def directions_file(directions: Directions) -> bytes:
    """Return the content of directions.safetensors."""
    return to_safetensors(latent_directions.to_arrays(directions))


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


def check_directions(ref: str, description: Description, directions: Directions) -> None:
    """Raise ShapeError unless the directions are those of the manifest, of the spec's dimensions."""
    if directions.before_flow and description.spec.prior is None:
        raise ShapeError(
            f"{ref}: {DIRECTIONS} is made for a flow, and the spec has none; republish it"
        )
    names = () if description.directions is None else description.directions.names
    if directions.names != names:
        raise ShapeError(
            f"{ref}: {DIRECTIONS} has {len(directions)} directions, "
            f"the manifest names {len(names)}; republish it"
        )
    if directions.latent != description.spec.latent:
        raise ShapeError(
            f"{ref}: {DIRECTIONS} has {directions.latent} latent dimensions, "
            f"the spec asks for {description.spec.latent}; republish it"
        )


def check_encoded_images(ref: str, description: Description, encoded: EncodedImages) -> None:
    """Raise ShapeError unless latents of test images have the spec's dimensions and its classes."""
    if encoded.latent != description.spec.latent:
        raise ShapeError(
            f"{ref}: {ENCODED_IMAGES} has {encoded.latent} latent dimensions, "
            f"the spec asks for {description.spec.latent}; republish it"
        )
    classes = len(description.classes or ())
    if encoded.labels is not None and encoded.labels.max() >= classes:
        raise ShapeError(
            f"{ref}: {ENCODED_IMAGES} has the label {encoded.labels.max()}, "
            f"the manifest names {classes} classes; republish it"
        )


def check_weights(ref: str, spec: ModelSpec, weights: Mapping[str, Array]) -> None:
    """Raise ShapeError or NonFiniteError unless the weights are what the spec asks for.

    The graphs of ONNX are read, which raises GraphError. The names and shapes of a package's weights
    are checked when its network is built.
    """
    if isinstance(spec.network, Package):
        for name, weight in weights.items():
            _check_finite(ref, name, weight)
        return
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
        _check_finite(ref, name, weight)
    if isinstance(spec.network, Onnx):
        try:
            checked_graphs(weights[ENCODER].tobytes(), weights[DECODER].tobytes())
        except GraphError as error:
            raise GraphError(f"{ref}: {error}") from error


def _check_finite(ref: str, name: str, weight: Array) -> None:
    bad = int(np.count_nonzero(~np.isfinite(weight)))
    if bad:
        raise NonFiniteError(
            f"{ref}: tensor {name} holds {bad} values that are NaN or infinite; retrain it"
        )


def _computed_in(weight: Array) -> np.dtype[np.generic]:
    """Return the type in which the network computes with this stored weight."""
    return np.dtype(np.float32) if weight.dtype == np.float16 else weight.dtype
