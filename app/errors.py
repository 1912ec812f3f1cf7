"""Everything that can go wrong in the service, and the one table from errors to HTTP problems.

ServiceError
├── SettingsError              the service cannot start as it is configured
├── ParameterError             a query parameter that cannot be served
│   └── LimitError             the same, because it is beyond a limit
├── NotAcceptableError         no format that the client accepts
├── UploadError                what was sent is not what the endpoint needs
│   ├── MalformedBodyError     the body is not what its Content-Type says
│   ├── WrongFieldError        a multipart field is missing, unknown or not a file
│   ├── UnsupportedBodyError   the Content-Type of the body is not one of those documented
│   ├── BodyTooLargeError      more bytes than the limit
│   ├── EmptyImageError        an image of no bytes
│   ├── NotAnImageError        neither PNG nor JPEG
│   ├── CorruptImageError      a PNG or JPEG that is damaged or cut short
│   └── TooManyPixelsError     more pixels than the limit
├── UnavailableError           the service cannot answer now; the same request may succeed later
│   ├── QueueFullError         more images waiting than the limit
│   ├── TimedOutError          the answer was not ready in time
│   └── NotReadyError          a model cannot be served now
│       ├── DefaultModelError  the default model cannot be loaded
│       ├── DeviceError        the device cannot run the model
│       └── ShuttingDownError  the service is being stopped
├── UnauthorizedError          the token is missing or wrong
└── PromotionDisabledError     no token is configured

Domain errors know no status codes; PROBLEMS does. The form is RFC 9457 (problem+json).
"""

from dataclasses import dataclass

from model_store import errors as store_errors


class ServiceError(Exception):
    """Base of all errors of the service; the message is meant for people.

    `limit` is the bound that was passed, where there is one; `remedy` what to do about it.
    """

    def __init__(
        self, detail: str, *, limit: float | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(detail)
        self.limit = limit
        self.remedy = remedy


class SettingsError(ServiceError):
    """The service cannot start as it is configured."""


class ParameterError(ServiceError):
    """A query parameter that cannot be served."""


class LimitError(ParameterError):
    """A query parameter beyond a limit."""


class NotAcceptableError(ServiceError):
    """The Accept header allows none of the formats of this endpoint."""


class UploadError(ServiceError):
    """What was sent is not what the endpoint needs."""


class MalformedBodyError(UploadError):
    """The body is not what its Content-Type says."""


class WrongFieldError(UploadError):
    """A multipart field is missing, unknown, given too often, or not a file."""


class UnsupportedBodyError(UploadError):
    """The Content-Type of the body is not one of those documented."""


class BodyTooLargeError(UploadError):
    """More bytes than the limit."""


class EmptyImageError(UploadError):
    """An image of no bytes."""


class NotAnImageError(UploadError):
    """Neither PNG nor JPEG."""


class CorruptImageError(UploadError):
    """A PNG or JPEG that is damaged or cut short."""


class TooManyPixelsError(UploadError):
    """More pixels than the limit."""


class UnavailableError(ServiceError):
    """The service cannot answer now; the same request may succeed later."""


class QueueFullError(UnavailableError):
    """More images waiting than the limit."""


class TimedOutError(UnavailableError):
    """The answer was not ready in time."""


class NotReadyError(UnavailableError):
    """A model cannot be served now."""


class DefaultModelError(NotReadyError):
    """The default model cannot be loaded."""


class DeviceError(NotReadyError):
    """The device cannot run the model, for example because its memory is full."""


class ShuttingDownError(NotReadyError):
    """The service is being stopped."""


class UnauthorizedError(ServiceError):
    """The token is missing or wrong."""


class PromotionDisabledError(ServiceError):
    """No token is configured."""


@dataclass(frozen=True)
class ProblemType:
    """How a kind of error looks to a client: the last part of its `type`, status and title."""

    slug: str
    status: int
    title: str

    @property
    def uri(self) -> str:
        """The stable identifier of this kind of problem."""
        return f"/problems/{self.slug}"


VALIDATION = ProblemType("invalid-parameter", 422, "A parameter is not valid")
INTERNAL = ProblemType("internal-error", 500, "Something went wrong on our side")

PROBLEMS: dict[type[Exception], ProblemType] = {
    ParameterError: VALIDATION,
    LimitError: ProblemType("limit-exceeded", 422, "A parameter is beyond its limit"),
    NotAcceptableError: ProblemType("not-acceptable", 406, "No such format"),
    MalformedBodyError: ProblemType("malformed-body", 400, "The body cannot be read"),
    WrongFieldError: ProblemType("wrong-field", 422, "The form has the wrong fields"),
    UnsupportedBodyError: ProblemType("unsupported-body", 415, "This kind of body is not read"),
    BodyTooLargeError: ProblemType("body-too-large", 413, "The body is too large"),
    EmptyImageError: ProblemType("empty-image", 422, "The image is empty"),
    NotAnImageError: ProblemType("not-an-image", 415, "This is not a PNG or JPEG"),
    CorruptImageError: ProblemType("corrupt-image", 422, "The image is damaged"),
    TooManyPixelsError: ProblemType("too-many-pixels", 413, "The image has too many pixels"),
    store_errors.BlankImageError: ProblemType("blank-image", 422, "There is nothing on the image"),
    store_errors.WrongSizeError: ProblemType(
        "wrong-size", 422, "The image has another size than the model"
    ),
    QueueFullError: ProblemType("queue-full", 503, "Too many images are waiting"),
    TimedOutError: ProblemType("timed-out", 503, "The answer took too long"),
    NotReadyError: ProblemType("not-ready", 503, "The model is not ready"),
    UnauthorizedError: ProblemType("unauthorized", 401, "A token is needed"),
    PromotionDisabledError: ProblemType("promotion-disabled", 403, "Promotion is disabled"),
    store_errors.InvalidReferenceError: ProblemType(
        "invalid-reference", 422, "This does not name a model"
    ),
    store_errors.ModelNotFoundError: ProblemType("model-not-found", 404, "No such model"),
    store_errors.VersionNotFoundError: ProblemType("version-not-found", 404, "No such version"),
    store_errors.AliasNotFoundError: ProblemType("alias-not-found", 404, "No such alias"),
    store_errors.FigureNotFoundError: ProblemType("figure-not-found", 404, "No such figure"),
    store_errors.StoreError: ProblemType("model-unavailable", 503, "The model cannot be served"),
}

REMEDIES: dict[type[Exception], str] = {
    store_errors.BlankImageError: (
        "draw or photograph one digit, dark on light or light on dark, "
        "with some background around it"
    ),
    store_errors.WrongSizeError: (
        "leave preprocess out, and the image is brought to the model's form"
    ),
    QueueFullError: "try again after the time in Retry-After, or ask for fewer images",
    TimedOutError: "try again after the time in Retry-After, or ask for fewer images",
    DefaultModelError: "publish it, or choose another with ZSERVE_MODEL and ZSERVE_STORE",
    DeviceError: "free memory of the GPU, or set ZSERVE_DEVICE=cpu",
    ShuttingDownError: "try again after the time in Retry-After",
    store_errors.InvalidReferenceError: "write name, name@version or name@alias",
    store_errors.NotFoundError: "GET /models lists what there is",
    store_errors.CorruptVersionError: "ask for another version, or republish this one",
}
"""What to do about errors that were raised without saying so."""


def problem_type(error: Exception) -> ProblemType:
    """The entry of the table for an error: that of its class, or of the nearest base."""
    for cls in type(error).__mro__:
        if cls in PROBLEMS:
            return PROBLEMS[cls]
    return INTERNAL


def remedy(error: Exception) -> str | None:
    """What to do about an error, where that is known."""
    if isinstance(error, ServiceError) and error.remedy:
        return error.remedy
    return next((REMEDIES[cls] for cls in type(error).__mro__ if cls in REMEDIES), None)
