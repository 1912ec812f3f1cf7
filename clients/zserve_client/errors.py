"""Everything that can go wrong for a client, one class for each thing that one can do about it.

ZserveError
├── MissingExtraError          Pillow or numpy is needed for this, and not installed
├── InputError                 an image or a folder that cannot be used, seen before anything is sent
├── NoAnswerError              nobody answered, or the connection broke
├── UnexpectedAnswerError      somebody answered, but not as zserve does
└── ProblemError               zserve said no: problem+json, RFC 9457
    ├── InvalidRequestError    a parameter, a form or a format that is not valid
    │   └── LimitError         more than the service allows; `limit` says how much it does
    ├── UploadError            an image that cannot be read
    │   └── TooLargeError      too many bytes or pixels
    ├── NotFoundError          no such model, version, alias or figure
    ├── ForbiddenError         no token, or a wrong one
    ├── UnavailableError       not now: the same request may succeed later
    └── ServerError            a mistake of the service
"""

from collections.abc import Mapping
from typing import Any


class ZserveError(Exception):
    """Base of all errors of this package; the message is one sentence for people."""


class MissingExtraError(ZserveError, ImportError):
    """Pillow or numpy is needed for this, and not installed."""


class InputError(ZserveError, ValueError):
    """An image or a folder that cannot be used; nothing was sent."""


class NoAnswerError(ZserveError):
    """Nobody answered, or the connection broke."""


class UnexpectedAnswerError(ZserveError):
    """Somebody answered, but not as zserve does."""


class ProblemError(ZserveError):
    """The service refused: what it said, and what can be done about it.

    `type` is stable, such as `limit-exceeded`; `detail` says what was wrong this time; `limit`,
    `remedy` and `retry_after_s` are None where the service did not say.
    """

    def __init__(
        self, problem: Mapping[str, Any], status: int, retry_after_s: float | None = None
    ) -> None:
        self.status = status
        self.type = str(problem.get("type", "")).rpartition("/")[2]
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail") or self.title or f"HTTP status {status}")
        self.remedy: str | None = problem.get("remedy")
        self.limit: float | None = problem.get("limit")
        self.request_id: str | None = problem.get("request_id")
        self.retry_after_s = retry_after_s
        super().__init__("; ".join(part for part in (self.detail, self.remedy) if part))


class InvalidRequestError(ProblemError):
    """A parameter, a form or a format that is not valid."""


class LimitError(InvalidRequestError):
    """More than the service allows; `limit` says how much it does."""


class UploadError(ProblemError):
    """An image that cannot be read."""


class TooLargeError(UploadError):
    """Too many bytes or pixels."""


class NotFoundError(ProblemError):
    """No such model, version, alias or figure."""


class ForbiddenError(ProblemError):
    """No token, or a wrong one."""


class UnavailableError(ProblemError):
    """Not now: the same request may succeed later, after `retry_after_s` where that is known."""


class ServerError(ProblemError):
    """A mistake of the service; its log knows more under `request_id`."""


BY_TYPE: dict[str, type[ProblemError]] = {
    "limit-exceeded": LimitError,
    "body-too-large": TooLargeError,
    "too-many-pixels": TooLargeError,
    "malformed-body": UploadError,
    "wrong-field": UploadError,
    "unsupported-body": UploadError,
    "empty-image": UploadError,
    "not-an-image": UploadError,
    "corrupt-image": UploadError,
    "blank-image": UploadError,
    "wrong-size": UploadError,
}
"""Problems whose status alone does not say what they are."""

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
    """The exception for a problem: by its type, else by its status."""
    fallback = ServerError if status >= 500 else InvalidRequestError
    slug = str(problem.get("type", "")).rpartition("/")[2]
    kind = BY_TYPE.get(slug) or BY_STATUS.get(status, fallback)
    return kind(problem, status, retry_after_s)
