"""Python client of zserve, which serves variational autoencoders of small images over HTTP.

    from zserve_client import Client

    with Client("http://localhost:8000") as client:
        client.generate(16, seed=7).save("digits.png")

`AsyncClient` has the same methods as coroutines. The package needs httpx. The properties `image`,
`images` and `array` of results need Pillow and numpy, which the extra `images` installs.
"""

from zserve_client._async_client import AsyncClient
from zserve_client._client import Client
from zserve_client._results import (
    CompressedImages,
    DecompressedImages,
    Download,
    Encoding,
    Encodings,
    Export,
    Grid,
    Health,
    ImageFile,
    Interpolation,
    Metric,
    Model,
    ModelVersion,
    Reconstructions,
    SampleQuality,
    Score,
    Scores,
    Traversal,
)
from zserve_client.errors import (
    ForbiddenError,
    IncompleteJobError,
    InputError,
    InvalidRequestError,
    LimitError,
    MissingExtraError,
    NoAnswerError,
    NotFoundError,
    ProblemError,
    ServerError,
    StorageError,
    TooLargeError,
    UnavailableError,
    UnexpectedAnswerError,
    UploadError,
    ZserveError,
)

__all__ = [
    "AsyncClient",
    "Client",
    "CompressedImages",
    "DecompressedImages",
    "Download",
    "Encoding",
    "Encodings",
    "Export",
    "ForbiddenError",
    "Grid",
    "Health",
    "ImageFile",
    "IncompleteJobError",
    "InputError",
    "Interpolation",
    "InvalidRequestError",
    "LimitError",
    "Metric",
    "MissingExtraError",
    "Model",
    "ModelVersion",
    "NoAnswerError",
    "NotFoundError",
    "ProblemError",
    "Reconstructions",
    "SampleQuality",
    "Score",
    "Scores",
    "ServerError",
    "StorageError",
    "TooLargeError",
    "Traversal",
    "UnavailableError",
    "UnexpectedAnswerError",
    "UploadError",
    "ZserveError",
]
