"""Problems: errors as application/problem+json, RFC 9457, and the table of their types."""

import errno
import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app import errors
from app.api.paths import is_openai, is_v2, root_path
from model_store import errors as store_errors

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemType:
    """A kind of problem: the last part of its `type`, its HTTP status and its title."""

    slug: str
    status: int
    title: str

    @property
    def uri(self) -> str:
        """The stable `type` of the problem, below the root path of the service."""
        return f"/problems/{self.slug}"


VALIDATION = ProblemType("invalid-parameter", 422, "A parameter is not valid")
WRONG_SIZE = ProblemType("wrong-size", 422, "The image does not have the model's size")
INTERNAL = ProblemType("internal-error", 500, "Internal error")

PROBLEMS: Mapping[type[Exception], ProblemType] = {
    errors.ParameterError: VALIDATION,
    errors.LimitError: ProblemType("limit-exceeded", 422, "A parameter is beyond its limit"),
    errors.MalformedRequestError: ProblemType("malformed-request", 400, "This is not valid HTTP"),
    errors.RequestTimeoutError: ProblemType("request-timeout", 408, "The request came too slowly"),
    errors.UrlTooLongError: ProblemType("url-too-long", 414, "The URL is too long"),
    errors.HeadersTooLargeError: ProblemType(
        "headers-too-large", 431, "The headers of the request are too large"
    ),
    errors.NotFiniteError: ProblemType("not-finite", 422, "The result is not finite"),
    errors.NotAcceptableError: ProblemType("not-acceptable", 406, "No acceptable format"),
    errors.MalformedBodyError: ProblemType("malformed-body", 400, "The body cannot be read"),
    errors.WrongFieldError: ProblemType("wrong-field", 422, "The form has the wrong fields"),
    errors.UnsupportedBodyError: ProblemType(
        "unsupported-body", 415, "This type of body is not accepted"
    ),
    errors.BodyTooLargeError: ProblemType("body-too-large", 413, "The body is too large"),
    errors.EmptyImageError: ProblemType("empty-image", 422, "The image is empty"),
    errors.NotAnImageError: ProblemType("not-an-image", 415, "The upload is not an image"),
    errors.CorruptImageError: ProblemType("corrupt-image", 422, "The image is damaged"),
    errors.TooManyPixelsError: ProblemType("too-many-pixels", 413, "The image has too many pixels"),
    errors.TooComplexImageError: ProblemType(
        "too-complex", 413, "Decoding the image takes too much time or memory"
    ),
    store_errors.BlankImageError: ProblemType("blank-image", 422, "The image is blank"),
    store_errors.SeveralDigitsError: ProblemType(
        "several-digits", 422, "The image shows several digits"
    ),
    store_errors.WrongSizeError: WRONG_SIZE,
    errors.ImageSizeError: WRONG_SIZE,
    errors.WrongPixelsError: ProblemType(
        "wrong-pixels", 422, "Compression would lose a part of the image"
    ),
    errors.CannotCompressError: ProblemType(
        "cannot-compress", 422, "The version cannot compress images"
    ),
    store_errors.ForeignFileError: ProblemType(
        "foreign-file", 415, "The upload is not a file of compressed images"
    ),
    store_errors.DamagedFileError: ProblemType(
        "damaged-file", 422, "The compressed file is damaged"
    ),
    store_errors.OtherModelError: ProblemType(
        "other-model", 409, "The file was written with another model"
    ),
    store_errors.TooManyImagesError: ProblemType(
        "too-many-images", 413, "The file holds too many images"
    ),
    errors.TooManyConnectionsError: ProblemType(
        "too-many-connections", 503, "Too many connections are open"
    ),
    errors.QueueFullError: ProblemType("queue-full", 503, "Too many images are waiting"),
    errors.TimedOutError: ProblemType("timed-out", 503, "The answer took too long"),
    errors.OutOfFilesError: ProblemType("out-of-files", 503, "The service cannot open more files"),
    errors.NotReadyError: ProblemType("not-ready", 503, "The model is not ready"),
    errors.UnauthorizedError: ProblemType("unauthorized", 401, "A token is required"),
    errors.MissingScopeError: ProblemType("missing-scope", 403, "The API key lacks a scope"),
    errors.RateLimitedError: ProblemType("rate-limited", 429, "Too many requests"),
    errors.PromotionDisabledError: ProblemType("promotion-disabled", 403, "Promotion is disabled"),
    store_errors.InvalidReferenceError: ProblemType(
        "invalid-reference", 422, "The reference is not valid"
    ),
    store_errors.ModelNotFoundError: ProblemType("model-not-found", 404, "No such model"),
    store_errors.VersionNotFoundError: ProblemType("version-not-found", 404, "No such version"),
    store_errors.AliasNotFoundError: ProblemType("alias-not-found", 404, "No such alias"),
    store_errors.FigureNotFoundError: ProblemType("figure-not-found", 404, "No such figure"),
    store_errors.EncodedImagesNotFoundError: ProblemType(
        "encoded-images-not-found", 404, "No latents of test images"
    ),
    store_errors.FileNotInVersionError: ProblemType("file-not-found", 404, "No such file"),
    store_errors.SnapshotsNotFoundError: ProblemType(
        "snapshots-not-found", 404, "The version has no snapshots"
    ),
    store_errors.StoreBusyError: ProblemType("store-busy", 503, "The store is being changed"),
    store_errors.StoreUnavailableError: ProblemType(
        "store-unavailable", 503, "The store does not answer"
    ),
    store_errors.StoreError: ProblemType("model-unavailable", 503, "The model cannot be served"),
}

REMEDIES: Mapping[type[Exception], str] = {
    errors.QueueFullError: "try again after the time in Retry-After, or ask for fewer images",
    errors.TimedOutError: "try again after the time in Retry-After, or ask for fewer images",
    errors.StoreTimeoutError: "try again after the time in Retry-After; the operator can check the "
    "disk of ZSERVE_STORE",
    errors.LoadError: "ask for another version, or publish this one again",
    errors.DefaultModelError: "publish it, or choose another with ZSERVE_MODEL and ZSERVE_STORE",
    errors.DeviceError: "free memory of the GPU, or set ZSERVE_DEVICE=cpu",
    errors.TorchMissingError: "install PyTorch (`make install TORCH=cpu`), or serve an exact version",
    errors.MismatchError: "ask a service on another machine",
    errors.NotFiniteError: "send latents or a temperature closer to 0; a version for which ordinary "
    "inputs fail as well has to be published again",
    errors.CannotCompressError: "choose an exact version that has a pixel table; `python -m training "
    "republish` makes one",
    store_errors.EncodedImagesNotFoundError: "publish the version again with `python -m training "
    "complete`",
    errors.TooManyConnectionsError: "try again after the time in Retry-After",
    errors.OutOfFilesError: "try again after the time in Retry-After; the operator can raise the "
    "limit of open files (ulimit -n)",
    errors.ShuttingDownError: "try again after the time in Retry-After",
    store_errors.BlankImageError: "draw or photograph one digit, dark on light or light on dark, "
    "with some background around it",
    store_errors.SeveralDigitsError: "cut the image to one of the digits",
    store_errors.WrongSizeError: "leave preprocess out to convert the image to the model's form",
    store_errors.ForeignFileError: "send a file that POST /compress has answered with",
    store_errors.DamagedFileError: "fetch the file again; compressed files cannot be repaired",
    store_errors.OtherModelError: "ask a service that has the version the file was written with",
    store_errors.TooManyImagesError: "the operator can raise ZSERVE_MAX_COMPRESSED_IMAGES",
    store_errors.InvalidReferenceError: "write name, name@version or name@alias",
    store_errors.StoreBusyError: "try again after the time in Retry-After",
    store_errors.StoreUnavailableError: "try again after the time in Retry-After; the operator can "
    "check ZSERVE_STORE",
    store_errors.SnapshotsNotFoundError: "choose a version whose snapshots GET "
    "/models/{name}/{version} names, or train the model again",
    store_errors.NotFoundError: "GET /models lists the models and versions",
    store_errors.CorruptVersionError: "ask for another version, or republish this one",
}
"""Remedies for errors that were raised without one."""


def problem_type(error: Exception) -> ProblemType:
    """Return the problem type of an error: that of its class or of the nearest base class."""
    for cls in type(error).__mro__:
        if cls in PROBLEMS:
            return PROBLEMS[cls]
    return INTERNAL


def is_out_of_files(error: Exception) -> bool:
    """Return True if an operation failed because no file descriptor is left, which passes."""
    return isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}


def find_remedy(error: Exception) -> str | None:
    """Return what the client can do about an error, or None if nothing is known."""
    if isinstance(error, errors.ServiceError) and error.remedy:
        return error.remedy
    return next((REMEDIES[cls] for cls in type(error).__mro__ if cls in REMEDIES), None)


class Problem(BaseModel):
    """The body of an error answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/limit-exceeded",
                    "title": "A parameter is beyond its limit",
                    "status": 422,
                    "detail": "n is 1000, at most 256 is allowed",
                    "instance": "/generate",
                    "request_id": "5f2b0c6a9d3e4f17",
                    "limit": 256,
                    "remedy": "ask for 256 or less; the operator can raise ZSERVE_MAX_IMAGES",
                }
            ]
        }
    )

    type: str = Field(description="Stable identifier of the kind of problem.")
    title: str = Field(description="Short description of the kind of problem.")
    status: int = Field(description="HTTP status of the answer.")
    detail: str = Field(description="Description of this occurrence.")
    instance: str = Field(description="Path of the request.")
    request_id: str = Field(description="Id of the request, as in X-Request-ID and in the log.")
    limit: float | int | None = Field(default=None, description="Limit that was exceeded.")
    remedy: str | None = Field(default=None, description="What the client can do about it.")


def respond(request: Request, error: Exception) -> Response:
    """Return the answer to an error; details of unexpected errors are not disclosed."""
    if is_out_of_files(error):
        error = errors.OutOfFilesError("the service has no file descriptor left")
    kind = problem_type(error)
    if kind is INTERNAL:
        detail = "an unexpected error; it has been logged under this request id"
        return problem_response(request, INTERNAL, detail)
    limit = error.limit if isinstance(error, errors.ServiceError) else None
    headers = {}
    if isinstance(error, errors.RateLimitedError):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    elif isinstance(error, errors.UnavailableError):
        headers["Retry-After"] = retry_after(error, request.app.state.settings.retry_after_s)
    remedy = find_remedy(error)
    return problem_response(request, kind, str(error), limit=limit, remedy=remedy, headers=headers)


def retry_after(error: errors.UnavailableError, least_s: int) -> str:
    """Return the header Retry-After: the estimate of the error in whole seconds, or `least_s`."""
    return str(max(least_s, math.ceil(error.retry_after_s or 0.0)))


def problem_response(
    request: Request,
    kind: ProblemType,
    detail: str,
    *,
    limit: float | None = None,
    remedy: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as an HTTP response, and note its type for the metrics.

    Below /v2 the answer has the form of the Open Inference Protocol, {"error": ...}, which knows 400
    but not 422. Below /v1 it has the form of OpenAI's API, if the service offers that.
    """
    request.state.problem = kind.slug
    all_headers = _with_required_headers(request, kind.status, headers)
    if is_v2(request.scope):
        status = 400 if kind.status == 422 else kind.status
        return JSONResponse({"error": detail}, status, all_headers)
    if request.app.state.settings.openai_api and is_openai(request.scope):
        status = 400 if kind.status == 422 else kind.status
        return JSONResponse(_openai_error(kind, detail, remedy), status, all_headers)
    problem = Problem(
        type=root_path(request.scope) + kind.uri,
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=request.url.path,
        request_id=str(request.state.request_id),
        limit=limit,
        remedy=remedy,
    )
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, kind.status, all_headers, media_type=MEDIA_TYPE)


def _openai_error(kind: ProblemType, detail: str, remedy: str | None) -> dict[str, object]:
    """Return a problem in the form of OpenAI's API, whose clients show the message."""
    name, colon, _ = detail.partition(":")
    types = {401: "authentication_error", 429: "rate_limit_error"}
    default = "server_error" if kind.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": detail if remedy is None else f"{detail}; {remedy}",
            "type": types.get(kind.status, default),
            "param": name if colon and name.isidentifier() else None,
            "code": kind.slug,
        }
    }


def _with_required_headers(
    request: Request, status: int, headers: Mapping[str, str] | None
) -> dict[str, str]:
    """Return the headers of a problem, with those that its status requires."""
    all_headers = dict(headers or {})
    if status == 503 and "Retry-After" not in all_headers:
        all_headers["Retry-After"] = str(request.app.state.settings.retry_after_s)
    if status == 401:
        all_headers["WWW-Authenticate"] = "Bearer"
    return all_headers
