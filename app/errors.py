"""All exceptions that the service raises on purpose.

ServiceError
├── SettingsError              the service cannot start with these settings
├── ParameterError             a parameter has a value that cannot be served
│   ├── LimitError             a parameter is beyond a limit
│   ├── NotFiniteError         the model's result for this input is NaN or infinite
│   └── CannotCompressError    the version cannot compress images
├── RequestError               the request cannot be read, whatever it asks for
│   ├── MalformedRequestError  the request is not valid HTTP
│   ├── UrlTooLongError        the URL has too many bytes
│   ├── HeadersTooLargeError   the headers have too many bytes
│   └── RequestTimeoutError    the client sends the request too slowly
├── NotAcceptableError         the endpoint has no format that the client accepts
├── UploadError                the request body is not what the endpoint needs
│   ├── MalformedBodyError     the body does not have the format that its type states
│   ├── WrongFieldError        a form field is missing, unknown, or not a file
│   ├── UnsupportedBodyError   the endpoint does not accept this type of body
│   ├── BodyTooLargeError      the body has too many bytes
│   ├── EmptyImageError        the image has no bytes
│   ├── NotAnImageError        the file has no format of images that can be read
│   ├── CorruptImageError      the image file is damaged or incomplete
│   ├── TooManyPixelsError     the image has too many pixels
│   ├── TooComplexImageError   decoding the image takes too much time or memory
│   ├── ImageSizeError         the image does not have the model's size, which it must have here
│   └── WrongPixelsError       compression would lose a part of the image
├── UnavailableError           the service cannot answer now; a later attempt may succeed
│   ├── TooManyConnectionsError  too many connections are open
│   ├── QueueFullError         too many images are waiting
│   ├── TimedOutError          the answer was not ready in time
│   │   └── StoreTimeoutError  the disk of the store did not answer in time
│   ├── OutOfFilesError        the process cannot open another file
│   └── NotReadyError          a model cannot be served now
│       ├── DefaultModelError  the default model cannot be loaded
│       ├── LoadError          loading a version failed in a way that no check names
│       ├── DeviceError        the device cannot run the model
│       ├── TorchMissingError  the model needs PyTorch, which is not installed
│       ├── MismatchError      this machine computes an exact version differently
│       └── ShuttingDownError  the service is being stopped
├── UnauthorizedError          the token is missing or wrong
├── MissingScopeError          the API key does not permit this call
├── RateLimitedError           the client sends too many requests
└── PromotionDisabledError     no token is configured

The exceptions do not depend on HTTP; `app.api.problems` maps them, and those of
`model_store.errors`, to status codes.
"""


class ServiceError(Exception):
    """Base class of all errors of the service.

    Args:
        detail: Message for people.
        limit: The limit that was exceeded, if there is one.
        remedy: What the user can do about it.
    """

    def __init__(
        self, detail: str, *, limit: float | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(detail)
        self.limit = limit
        self.remedy = remedy


class SettingsError(ServiceError):
    """The service cannot start with these settings."""


class ParameterError(ServiceError):
    """A parameter has a value that cannot be served."""


class LimitError(ParameterError):
    """A parameter is beyond a limit."""


class NotFiniteError(ParameterError):
    """The model's result for this input is NaN or infinite."""


class CannotCompressError(ParameterError):
    """The version cannot compress images."""


class RequestError(ServiceError):
    """The request cannot be read, whatever it asks for."""


class MalformedRequestError(RequestError):
    """The request is not valid HTTP."""


class UrlTooLongError(RequestError):
    """The URL has too many bytes."""


class HeadersTooLargeError(RequestError):
    """The headers of the request, or the trailers after its body, have too many bytes."""


class RequestTimeoutError(RequestError):
    """The client sends the request too slowly."""


class NotAcceptableError(ServiceError):
    """The endpoint has no format that the client accepts."""


class UploadError(ServiceError):
    """The request body is not what the endpoint needs."""


class MalformedBodyError(UploadError):
    """The body does not have the format that its type states."""


class WrongFieldError(UploadError):
    """A form field is missing, unknown, or not a file."""


class UnsupportedBodyError(UploadError):
    """The endpoint does not accept this type of body."""


class BodyTooLargeError(UploadError):
    """The body has too many bytes."""


class EmptyImageError(UploadError):
    """The image has no bytes."""


class NotAnImageError(UploadError):
    """The file has no format of images that can be read."""


class CorruptImageError(UploadError):
    """The image file is damaged or incomplete."""


class TooManyPixelsError(UploadError):
    """The image has too many pixels."""


class TooComplexImageError(UploadError):
    """Decoding the image takes too much time or memory."""


class ImageSizeError(UploadError):
    """The image does not have the model's size, and this endpoint does not resize it."""


class WrongPixelsError(UploadError):
    """Compression would lose a part of the image, such as its colours."""


class UnavailableError(ServiceError):
    """The service cannot answer now; a later attempt may succeed.

    Args:
        detail: Message for people.
        limit: The limit that was exceeded, if there is one.
        remedy: What the user can do about it.
        retry_after_s: Estimated time (s) until an attempt may succeed; None if it is not known.
    """

    def __init__(
        self,
        detail: str,
        *,
        limit: float | None = None,
        remedy: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail, limit=limit, remedy=remedy)
        self.retry_after_s = retry_after_s


class TooManyConnectionsError(UnavailableError):
    """Too many connections are open, and the service is busy with all of them."""


class QueueFullError(UnavailableError):
    """Too many images are waiting."""


class TimedOutError(UnavailableError):
    """The answer was not ready in time."""


class StoreTimeoutError(TimedOutError):
    """The disk of the store did not answer in time."""


class OutOfFilesError(UnavailableError):
    """The process has no file descriptor left."""


class NotReadyError(UnavailableError):
    """A model cannot be served now."""


class DefaultModelError(NotReadyError):
    """The default model cannot be loaded."""


class LoadError(NotReadyError):
    """Loading a version failed in a way that no check of the store names."""


class DeviceError(NotReadyError):
    """The device cannot run the model, for example because its memory is full."""


class TorchMissingError(NotReadyError):
    """The model needs PyTorch, which is not installed."""


class MismatchError(NotReadyError):
    """This machine's results for an exact version differ from the published ones."""


class ShuttingDownError(NotReadyError):
    """The service is being stopped."""


class UnauthorizedError(ServiceError):
    """The token is missing or wrong."""


class MissingScopeError(ServiceError):
    """The API key does not permit this call."""


class RateLimitedError(ServiceError):
    """The client sends too many requests.

    Args:
        detail: Message for people.
        limit: Number of requests in each period.
        remedy: What the user can do about it.
        retry_after_s: Seconds until the next request is allowed.
    """

    def __init__(
        self,
        detail: str,
        *,
        limit: float | None = None,
        remedy: str | None = None,
        retry_after_s: float = 1.0,
    ) -> None:
        super().__init__(detail, limit=limit, remedy=remedy)
        self.retry_after_s = retry_after_s


class PromotionDisabledError(ServiceError):
    """No token is configured."""
