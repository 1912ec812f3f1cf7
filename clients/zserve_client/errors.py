"""The exceptions of the client, grouped by what a caller can do about them.

ZserveError
├── MissingExtraError          Pillow, numpy, obstore or shtab is needed and not installed
├── InputError                 an argument cannot be used; no request was sent
├── NoAnswerError              the connection failed, or the answer took too long
├── UnexpectedAnswerError      the answer does not come from a zserve service
├── StorageError               an object store cannot be reached, or refuses
├── IncompleteJobError         some shards could not be made; the same job can be continued
└── ProblemError               the service refused the request (problem+json, RFC 9457)
    ├── InvalidRequestError    an invalid parameter, form or format
    │   └── LimitError         a value above a limit of the service; see `limit`
    ├── UploadError            an uploaded file that cannot be read
    │   └── TooLargeError      an upload with too many bytes, pixels or images, or that takes too long
    ├── NotFoundError          an unknown model, version, alias or figure
    ├── ForbiddenError         a token that is missing, wrong or not permitted to do this
    ├── UnavailableError       the service is busy, not ready, or refuses too many requests
    └── ServerError            an internal error of the service
"""

from collections.abc import Mapping
from typing import Any


class ZserveError(Exception):
    """Base class of every exception of this package. The message is one line."""


class MissingExtraError(ZserveError, ImportError):
    """Pillow, numpy, obstore or shtab is needed and not installed."""


class InputError(ZserveError, ValueError):
    """An argument cannot be used, such as an image, a folder or an address. No request was sent.

    Variables of the environment that httpx reads count as arguments, such as ALL_PROXY and
    SSL_CERT_FILE.
    """


class NoAnswerError(ZserveError):
    """The connection failed, or the answer took too long."""


class UnexpectedAnswerError(ZserveError):
    """The answer does not come from a zserve service."""


class StorageError(ZserveError):
    """An object store cannot be reached, or refuses a request."""


class IncompleteJobError(ZserveError):
    """Some shards of a job could not be made. The same job can be continued."""


class ProblemError(ZserveError):
    """The service refused the request.

    Attributes:
        status: HTTP status.
        type: Stable name of the problem, such as `limit-exceeded`.
        title: Short description of the problem type.
        detail: What was wrong with this request.
        remedy: What to change, or None.
        limit: The limit that was exceeded, or None.
        request_id: Id of the request in the log of the service, or None.
        retry_after_s: Seconds to wait before the next attempt, or None.
    """

    def __init__(
        self, problem: Mapping[str, Any], status: int, retry_after_s: float | None = None
    ) -> None:
        self.status = status
        self.type = _problem_name(problem)
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail") or self.title or f"HTTP status {status}")
        self.remedy: str | None = problem.get("remedy")
        self.limit: float | None = problem.get("limit")
        self.request_id: str | None = problem.get("request_id")
        self.retry_after_s = retry_after_s
        super().__init__("; ".join(part for part in (self.detail, self.remedy) if part))


class InvalidRequestError(ProblemError):
    """A parameter, a form or a format is invalid."""


class LimitError(InvalidRequestError):
    """A value is above a limit of the service, which is given by `limit`."""


class UploadError(ProblemError):
    """An uploaded file cannot be read."""


class TooLargeError(UploadError):
    """An upload has too many bytes, pixels or images, or takes too long to decode."""


class NotFoundError(ProblemError):
    """The model, version, alias or figure does not exist."""


class ForbiddenError(ProblemError):
    """The token is missing or wrong, or does not permit the request."""


class UnavailableError(ProblemError):
    """The service is busy or not ready, or this client has reached its rate limit.

    The same request may succeed after `retry_after_s` seconds.
    """


class ServerError(ProblemError):
    """The service failed. Its log has details under `request_id`."""


BY_TYPE: dict[str, type[ProblemError]] = {
    "limit-exceeded": LimitError,
    "body-too-large": TooLargeError,
    "too-many-pixels": TooLargeError,
    "too-complex": TooLargeError,
    "malformed-body": UploadError,
    "wrong-field": UploadError,
    "unsupported-body": UploadError,
    "empty-image": UploadError,
    "not-an-image": UploadError,
    "corrupt-image": UploadError,
    "blank-image": UploadError,
    "wrong-size": UploadError,
    "wrong-pixels": UploadError,
    "foreign-file": UploadError,
    "damaged-file": UploadError,
    "other-model": UploadError,
    "too-many-images": TooLargeError,
}
"""Exception classes of the problem types whose HTTP status alone is ambiguous."""

BY_STATUS: dict[int, type[ProblemError]] = {
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    413: TooLargeError,
    415: UploadError,
    429: UnavailableError,
    503: UnavailableError,
}


def problem_error(
    problem: Mapping[str, Any], status: int, retry_after_s: float | None = None
) -> ProblemError:
    """Return the exception for a problem, chosen by its type, or else by the HTTP status."""
    fallback = ServerError if status >= 500 else InvalidRequestError
    error_class = BY_TYPE.get(_problem_name(problem)) or BY_STATUS.get(status, fallback)
    return error_class(problem, status, retry_after_s)


def _problem_name(problem: Mapping[str, Any]) -> str:
    """Return the last segment of the type URI."""
    return str(problem.get("type", "")).rpartition("/")[2]
