"""Errors of stored models, of images that are prepared for them, and of compressed files.

StoreError
├── InvalidReferenceError      the text is not name, name@version or name@alias
├── NotFoundError
│   ├── ModelNotFoundError     no model of that name
│   ├── VersionNotFoundError   the model has no such version
│   ├── AliasNotFoundError     the model has no such alias
│   ├── FigureNotFoundError    the version has no such figure
│   ├── EncodedImagesNotFoundError  the version has no latents of test images
│   ├── FileNotInVersionError  the version has no such file
│   ├── SnapshotsNotFoundError  the version is published without snapshots of its training
│   └── FloatWeightsNotFoundError  an exact version is published without float weights
├── PublishError               a version could not be written; the store is unchanged
├── StoreBusyError             another process kept the aliases locked for too long
├── StoreUnavailableError      an object store does not answer
│   └── StoreAccessError       an object store refuses the credentials, or has no such bucket
├── MissingPackageError        a network needs a package that is not installed
├── InvalidAddressError        the text is not the address of a store that can be opened
├── StoreCacheError            the folder for copies of an object store cannot be written
└── CorruptVersionError        a version on disk that must not be served
    ├── ManifestError          manifest.json is missing, unreadable or of another format
    ├── ChecksumError          a file is missing or differs from the manifest
    ├── SignatureError         the signature that is required is missing, wrong or by another key
    ├── ShapeError             the weights do not fit the spec
    ├── NonFiniteError         a tensor holds NaN or infinity
    ├── GoldenHashError        this machine's results differ from the golden hashes
    ├── GraphError             a graph of ONNX that must not or cannot be run
    └── ProofError             an exact network breaks a rule of its arithmetic (arithmetic/proof.py)

ImageError
├── BlankImageError            the image shows no digit
├── SeveralDigitsError         the image shows several digits, and none of them is meant
└── WrongSizeError             preprocess=none, and the image does not have the model's size

CompressedFileError
├── ForeignFileError           not a file of compressed images, or of an unknown format version
├── DamagedFileError           truncated, changed or inconsistent
├── OtherModelError            written with another model, version or arithmetic
└── TooManyImagesError         more images than are allowed at once
"""


class StoreError(Exception):
    """Base of the errors of stored models; the message is meant for people."""


class InvalidReferenceError(StoreError, ValueError):
    """A model reference that cannot be parsed."""


class NotFoundError(StoreError, LookupError):
    """The store has no such model, version, alias or figure."""


class ModelNotFoundError(NotFoundError):
    """No model of that name."""


class VersionNotFoundError(NotFoundError):
    """The model has no such version."""


class AliasNotFoundError(NotFoundError):
    """The model has no such alias."""


class FigureNotFoundError(NotFoundError):
    """The version has no such figure."""


class EncodedImagesNotFoundError(NotFoundError):
    """The version is published without latents of test images."""


class FileNotInVersionError(NotFoundError):
    """The version has no such file."""


class SnapshotsNotFoundError(NotFoundError):
    """The version is published without snapshots of its training."""


class FloatWeightsNotFoundError(NotFoundError):
    """An exact version is published without its float weights."""


class PublishError(StoreError):
    """Publishing failed; no version was added."""


class StoreBusyError(StoreError):
    """Another process kept the aliases of a model locked for too long."""


class StoreUnavailableError(StoreError):
    """An object store does not answer; a later attempt may succeed."""


class StoreAccessError(StoreUnavailableError):
    """An object store refuses the credentials, or has no such bucket."""


class InvalidAddressError(StoreError, ValueError):
    """The address of a store that cannot be opened."""


class StoreCacheError(StoreError):
    """The folder for copies of an object store cannot be written."""


class CorruptVersionError(StoreError):
    """A version on disk that must not be served."""


class ManifestError(CorruptVersionError):
    """manifest.json is missing, unreadable, invalid or of an unknown format."""


class ChecksumError(CorruptVersionError):
    """A file is missing, or its size or checksum differs from the manifest."""


class SignatureError(CorruptVersionError):
    """A version is not signed, changed after it was signed, or signed by another key."""


class ShapeError(CorruptVersionError):
    """A tensor is missing, unexpected, or of another shape or type than the spec asks for."""


class NonFiniteError(CorruptVersionError):
    """A tensor holds NaN or infinity."""


class GoldenHashError(CorruptVersionError):
    """The results for the fixed inputs differ from the golden hashes of an exact version."""


class GraphError(CorruptVersionError):
    """A graph of ONNX that must not be run, or that ONNX Runtime cannot load or run."""


class MissingPackageError(StoreError):
    """The network of a version is that of a package, which is not installed or does not fit."""


class ImageError(ValueError):
    """Base of the errors of images that cannot be prepared; the message is meant for people."""


class BlankImageError(ImageError):
    """No digit can be seen on the image."""


class SeveralDigitsError(ImageError):
    """The image shows several digits of about the same size, and none is in its centre."""


class WrongSizeError(ImageError):
    """preprocess=none takes the pixels as they are, and the image has another size."""


class CompressedFileError(ValueError):
    """Base of the errors of files that cannot be decompressed; the message is meant for people."""


class ForeignFileError(CompressedFileError):
    """The file does not contain compressed images, or has an unknown format version."""


class DamagedFileError(CompressedFileError):
    """The file is truncated, changed or inconsistent."""


class OtherModelError(CompressedFileError):
    """The file was written with another model, version or arithmetic."""


class TooManyImagesError(CompressedFileError):
    """The file holds more images than are allowed at once."""
