"""zserve from Python: images of variational autoencoders over HTTP.

    from zserve_client import Client

    with Client("http://localhost:8000") as client:
        client.generate(16, seed=7).save("digits.png")

`AsyncClient` has the same methods, to be awaited. Only httpx is needed; `.image`, `.images` and
`.array` of results need the extra `images`, which is Pillow and numpy.
"""

from zserve_client.async_client import AsyncClient
from zserve_client.client import Client
from zserve_client.errors import (
    ForbiddenError,
    InputError,
    InvalidRequestError,
    LimitError,
    MissingExtraError,
    NoAnswerError,
    NotFoundError,
    ProblemError,
    ServerError,
    TooLargeError,
    UnavailableError,
    UnexpectedAnswerError,
    UploadError,
    ZserveError,
)
from zserve_client.results import (
    Download,
    Encoding,
    Encodings,
    Export,
    Grid,
    Health,
    Interpolation,
    Metric,
    Model,
    ModelVersion,
    Picture,
    Reconstructions,
    Traversal,
)

__all__ = [
    "AsyncClient",
    "Client",
    "Download",
    "Encoding",
    "Encodings",
    "Export",
    "ForbiddenError",
    "Grid",
    "Health",
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
    "Picture",
    "ProblemError",
    "Reconstructions",
    "ServerError",
    "TooLargeError",
    "Traversal",
    "UnavailableError",
    "UnexpectedAnswerError",
    "UploadError",
    "ZserveError",
]
