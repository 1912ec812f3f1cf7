"""The API description: what FastAPI cannot infer about images, forms and problems."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from app.api.answers import MEDIA_TYPES
from app.api.openapi_examples import EXAMPLES, in_json
from app.api.problems import MEDIA_TYPE, Problem
from app.errors import INTERNAL, PROBLEMS

_LAST = ("columns", "preprocess", "scale", "pixels", "model", "format", "metadata")
"""What many endpoints take comes behind what one of them takes alone."""
_BINARY = {"type": "string", "format": "binary"}
_HEADERS = {
    "X-Queue-Time": "Milliseconds that the images waited for the model.",
    "X-Inference-Time": "Milliseconds that their tiles took in it.",
    "X-Model": "The version that answered: name@version.",
    "X-Weights-SHA256": "Checksum of its weights.",
    "X-Request-ID": "The id of this request, as in the log.",
}
_TYPES = {"X-Queue-Time": "number", "X-Inference-Time": "number", "X-Seed": "integer"}

DESCRIPTION = """\
Variational autoencoders of small images, served: generate, reconstruct, interpolate, traverse,
encode, decode, augment.

- **PNG by default.** `format=json`, or `Accept: application/json`, gives numbers and base64 images;
  zip, npz, GIF and APNG are chosen in the same way.
- **The same seed gives the same bytes**, whatever else the service is doing.
- **Every PNG says how to get it again** in a text chunk named `parameters` (JSON).
- **HEAD** is answered wherever GET is, with the same headers.
- **Errors** are `application/problem+json` with the limit, the remedy and the request id.
"""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses of an endpoint for these statuses."""
    return {status: _problem(status) for status in statuses}


def images(
    description: str, formats: Sequence[str], *, seed: bool = False
) -> dict[int | str, dict[str, Any]]:
    """Responses of an endpoint that answers in these formats, the default first."""
    headers = _HEADERS | ({"X-Seed": "The seed, where there is one."} if seed else {})
    answer = {
        "description": description,
        "content": {
            MEDIA_TYPES[name]: {} if name == "json" else {"schema": _BINARY} for name in formats
        },
        "headers": {
            name: {"description": text, "schema": {"type": _TYPES.get(name, "string")}}
            for name, text in headers.items()
        },
    }
    return {200: answer, **problems(400, 404, 406, 413, 415, 422, 503)}


def form(fields: dict[str, str]) -> dict[str, Any]:
    """The body of an endpoint that takes one optional file in each field."""
    properties = {name: _BINARY | {"description": text} for name, text in fields.items()}
    schema = {"type": "object", "properties": properties}
    return {"requestBody": {"content": {"multipart/form-data": {"schema": schema}}}}


def form_or_image(description: str, *, required: bool) -> dict[str, Any]:
    """The body of an endpoint that takes `image` in a form, or the image itself."""
    files = {"type": "array", "items": _BINARY, "description": description}
    schema: dict[str, Any] = {"type": "object", "properties": {"image": files}}
    if required:
        schema["required"] = ["image"]
    content = {
        "multipart/form-data": {"schema": schema},
        "image/png": {"schema": _BINARY},
        "image/jpeg": {"schema": _BINARY},
    }
    return {"requestBody": {"required": required, "content": content}}


def json_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """The body of an endpoint that takes this model as JSON."""
    schema = model.model_json_schema() | {"examples": [example]}
    return {"requestBody": {"required": True, "content": {MEDIA_TYPES["json"]: {"schema": schema}}}}


def describe(app: FastAPI) -> None:
    """Complete the description that FastAPI makes of the app, once, when it is first asked for."""
    plain = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = plain()
            reference = "#/components/schemas/{model}"
            schema["components"]["schemas"]["Problem"] = Problem.model_json_schema(
                ref_template=reference
            )
            for path in schema["paths"].values():
                for operation in path.values():
                    _order_formats(operation)
                    _tidy_parameters(operation)
                    _show_example(operation)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _order_formats(operation: dict[str, Any]) -> None:
    """The default of the service comes first, where FastAPI would put JSON."""
    content = operation["responses"].get("200", {}).get("content", {})
    found = dict(content)
    content.clear()
    for media_type in (*MEDIA_TYPES.values(), *found):
        if media_type in found:
            content.setdefault(media_type, found[media_type])


def _show_example(operation: dict[str, Any]) -> None:
    content = operation["responses"].get("200", {}).get("content", {})
    if MEDIA_TYPES["json"] in content:
        example = EXAMPLES[operation["operationId"]]
        content[MEDIA_TYPES["json"]]["example"] = in_json(example)


def _tidy_parameters(operation: dict[str, Any]) -> None:
    """What an endpoint alone takes comes first; a query has no null, so none is offered."""
    parameters = operation.get("parameters", [])
    parameters.sort(key=lambda parameter: _place(parameter["name"]))
    for parameter in parameters:
        schema = parameter["schema"]
        choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
        if len(choices) == 1:
            del schema["anyOf"]
            schema.update(choices[0])


def _place(name: str) -> int:
    return _LAST.index(name) if name in _LAST else -1


def _problem(status: int) -> dict[str, Any]:
    kinds = [kind for kind in {*PROBLEMS.values(), INTERNAL} if kind.status == status]
    titles = sorted(kind.title for kind in kinds)
    slug, facts = _EXAMPLES[status]
    kind = next(kind for kind in kinds if kind.slug == slug)
    example = {
        "type": kind.uri,
        "title": kind.title,
        "status": status,
        "instance": "/generate",
        "request_id": "5f2b0c6a9d3e4f17",
        **facts,
    }
    return {
        "description": "; ".join(titles) + ".",
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
        },
    }


_RECONSTRUCT, _ALIAS = "/reconstruct", "/models/mnist/aliases/production"
_EXAMPLES: dict[int, tuple[str, dict[str, Any]]] = {
    400: (
        "malformed-body",
        {
            "detail": "the multipart form is damaged: Missing boundary in multipart.",
            "instance": _RECONSTRUCT,
            "remedy": "let your HTTP library write the form, its boundary included",
        },
    ),
    401: (
        "unauthorized",
        {
            "detail": "the token is missing or wrong",
            "instance": _ALIAS,
            "remedy": "send the header Authorization: Bearer TOKEN",
        },
    ),
    403: (
        "promotion-disabled",
        {
            "detail": "this service was started without a token for promotion",
            "instance": _ALIAS,
            "remedy": "set ZSERVE_ADMIN_TOKEN and restart it",
        },
    ),
    404: (
        "version-not-found",
        {"detail": "mnist has no version 9", "remedy": "GET /models lists what there is"},
    ),
    406: (
        "not-acceptable",
        {
            "detail": "none of png, json, zip, npz is acceptable to this client",
            "remedy": "accept image/png, or choose with format=",
        },
    ),
    413: (
        "body-too-large",
        {
            "detail": "the body has 2000000 bytes; at most 1048576 are taken",
            "instance": _RECONSTRUCT,
            "limit": 1048576,
            "remedy": "send a smaller image, or fewer of them",
        },
    ),
    415: (
        "not-an-image",
        {
            "detail": "5 bytes that begin with b'hello' are neither a PNG nor a JPEG",
            "instance": _RECONSTRUCT,
            "remedy": "save the image as PNG or JPEG and send that",
        },
    ),
    422: (
        "limit-exceeded",
        {
            "detail": "n is 1000, at most 256 is allowed",
            "limit": 256,
            "remedy": "ask for 256 or less; the operator can raise ZSERVE_MAX_IMAGES",
        },
    ),
    503: (
        "queue-full",
        {
            "detail": "4090 images are waiting, and 16 more are too many",
            "limit": 4096,
            "remedy": "try again after the time in Retry-After, or ask for fewer images",
        },
    ),
}
"""Status -> the kind of problem that shows it best, and what it says."""
