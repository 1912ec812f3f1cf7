"""Everything that can go wrong with a stored model, or with an image that is prepared for one.

StoreError
├── InvalidReferenceError      the text is not name, name@version or name@alias
├── NotFoundError
│   ├── ModelNotFoundError     no model of that name
│   ├── VersionNotFoundError   the model has no such version
│   ├── AliasNotFoundError     the model has no such alias
│   └── FigureNotFoundError    the version has no such figure
├── PublishError               a version could not be written; the store is as it was
└── CorruptVersionError        what is on disk must not be served
    ├── ManifestError          manifest.json is missing, unreadable or of another format
    ├── ChecksumError          a file is missing or differs from the manifest
    ├── ShapeError             tensors do not fit the spec
    └── NonFiniteError         a tensor holds NaN or infinity

ImageError
├── BlankImageError            no digit to be seen
└── WrongSizeError             an image that must be taken as it is has not the model's size
"""


class StoreError(Exception):
    """Base of the errors of stored models; the message is meant for people."""


class InvalidReferenceError(StoreError, ValueError):
    """A model reference that cannot be parsed."""


class NotFoundError(StoreError, LookupError):
    """The store has no such thing."""


class ModelNotFoundError(NotFoundError):
    """No model of that name."""


class VersionNotFoundError(NotFoundError):
    """The model exists, the version does not."""


class AliasNotFoundError(NotFoundError):
    """The model exists, the alias does not."""


class FigureNotFoundError(NotFoundError):
    """The version exists, the figure does not."""


class PublishError(StoreError):
    """Publishing failed; no version was added."""


class CorruptVersionError(StoreError):
    """A version on disk that must not be served."""


class ManifestError(CorruptVersionError):
    """manifest.json is missing, unreadable, invalid or of an unknown format."""


class ChecksumError(CorruptVersionError):
    """A file is missing or its bytes differ from what the manifest promises."""


class ShapeError(CorruptVersionError):
    """A tensor is missing, superfluous, or of another shape or type than the spec asks for."""


class NonFiniteError(CorruptVersionError):
    """A tensor holds NaN or infinity."""


class ImageError(ValueError):
    """Base of the errors of images that cannot be prepared; the message is meant for people."""


class BlankImageError(ImageError):
    """No digit can be seen on the image."""


class WrongSizeError(ImageError):
    """The image must be taken as it is, and has another size than the model's images."""
