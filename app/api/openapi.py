"""Complete FastAPI's API description with images, forms, problems and examples."""

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import BaseRoute

from app.api.openapi_examples import EXAMPLES, example_json
from app.api.problems import INTERNAL, MEDIA_TYPE, PROBLEMS, Problem
from app.api.queries import Latents
from app.api.render import FORMATS
from app.api.v2_schema import InferenceRequest
from app.imaging.formats import MEDIA_TYPES

_LAST = ("columns", "preprocess", "scale", "pixels", "model", "format", "metadata")
"""Parameters that many endpoints have in common; they are listed after an endpoint's own."""
_JSON = "application/json"
_FORM = "multipart/form-data"
BINARY = {"type": "string", "format": "binary"}
_HEADERS = {
    "X-Queue-Time": "Milliseconds that the images waited in the queue.",
    "X-Inference-Time": "Milliseconds that the model computed.",
    "X-Model": "Version that computed the answer: name@version.",
    "X-Weights-SHA256": "Checksum of the weights of that version.",
    "X-Request-ID": "Id of the request, as in the log.",
}
_UNUSUAL = (
    "Present if uploads are not like the data of the model: the number of each, from 0 (`a` or `b` "
    "for /interpolate), and how many times the limit its typicality score is, such as "
    "`0;times=2.7`; for versions without a typicality table, its reconstruction error."
)
_TYPES = {
    "X-Queue-Time": "number",
    "X-Inference-Time": "number",
    "X-Seed": "integer",
    "X-Bits-Per-Dimension": "number",
}

DESCRIPTION = """\
Serves variational autoencoders (VAEs) of small images: generate, reconstruct, interpolate, traverse,
edit, encode, decode, augment and compress.

- **PNG is the default.** `format=json`, or `Accept: application/json`, gives numbers and base64
  images; zip, npz, GIF and APNG are chosen in the same way.
- **The same seed gives the same bytes**, whatever else the service is computing.
- **Every PNG contains the parameters that reproduce it**, as JSON in a text chunk named
  `parameters`.
- **HEAD** is accepted by every path that accepts GET, with the same headers.
- **Keys**: a service may require an API key, as `Authorization: Bearer KEY`, and may limit how often
  a client calls. Calls are then also answered with 401, 403 and 429.
- **Errors** are `application/problem+json` with the limit, the remedy and the request id.
"""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of an endpoint for these statuses."""
    return {status: _problem(status) for status in statuses}


def images(
    description: str, formats: Sequence[str], *, seed: bool = False, uploads: bool = False
) -> dict[int | str, dict[str, Any]]:
    """Return the responses of an endpoint that answers in these formats, the default first."""
    headers = _HEADERS | ({"X-Seed": "Seed of the answer, if it has one."} if seed else {})
    headers |= {"X-Unusual": _UNUSUAL} if uploads else {}
    answer = {
        "description": description,
        "content": {
            FORMATS[name].media_type: {} if name == "json" else {"schema": BINARY}
            for name in formats
        },
        "headers": {
            name: {"description": text, "schema": {"type": _TYPES.get(name, "string")}}
            for name, text in headers.items()
        },
    }
    return {200: answer, **problems(400, 404, 406, 413, 415, 422, 503)}


def file_answer(
    description: str, media_type: str, headers: dict[str, str]
) -> dict[int | str, dict[str, Any]]:
    """Return the responses of an endpoint that answers with one kind of file."""
    answer = {
        "description": description,
        "content": {media_type: {"schema": BINARY}},
        "headers": {
            name: {"description": text, "schema": {"type": _TYPES.get(name, "string")}}
            for name, text in (_HEADERS | headers).items()
        },
    }
    return {200: answer, **problems(400, 404, 413, 415, 422, 503)}


def file_body(
    field: str, description: str, media_types: Sequence[str], *, repeated: bool
) -> dict[str, Any]:
    """Return the request body of an endpoint that takes files in a form field, or one as body."""
    files: dict[str, Any] = {"type": "array", "items": BINARY} if repeated else dict(BINARY)
    schema = {
        "type": "object",
        "properties": {field: files | {"description": description}},
        "required": [field],
    }
    content: dict[str, Any] = {_FORM: {"schema": schema}}
    content |= {media_type: {"schema": BINARY} for media_type in media_types}
    return {"requestBody": {"required": True, "content": content}}


def form_body(fields: dict[str, str]) -> dict[str, Any]:
    """Return the request body of an endpoint that takes one optional file in each form field."""
    properties = {name: BINARY | {"description": text} for name, text in fields.items()}
    schema = {"type": "object", "properties": properties}
    return {"requestBody": {"content": {_FORM: {"schema": schema}}}}


def form_or_image_body(description: str, *, required: bool) -> dict[str, Any]:
    """Return the request body of an endpoint that takes `image` in a form, or a single image."""
    files = {"type": "array", "items": BINARY, "description": description}
    schema: dict[str, Any] = {"type": "object", "properties": {"image": files}}
    if required:
        schema["required"] = ["image"]
    content: dict[str, Any] = {_FORM: {"schema": schema}}
    content |= {media_type: {"schema": BINARY} for media_type in MEDIA_TYPES}
    return {"requestBody": {"required": required, "content": content}}


def latents_or_images_body(description: str, *, required: bool) -> dict[str, Any]:
    """Return the request body of an endpoint that takes `image` as a form or alone, or latents."""
    body = form_or_image_body(description, required=required)
    latents = json_body(Latents, {"z": [[0.5, -1.2, 0.0]]})
    body["requestBody"]["content"] |= latents["requestBody"]["content"]
    return body


def paths_with_files(routes: Iterable[BaseRoute]) -> frozenset[str]:
    """Return the paths of the endpoints whose bodies may have files."""
    return frozenset(
        route.path
        for route in routes
        if isinstance(route, APIRoute)
        and _FORM in (route.openapi_extra or {}).get("requestBody", {}).get("content", {})
    )


def json_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """Return the request body of an endpoint that takes a pydantic model as JSON."""
    schema = model.model_json_schema() | {"examples": [example]}
    return {"requestBody": {"required": True, "content": {_JSON: {"schema": schema}}}}


def describe(app: FastAPI) -> None:
    """Make the app complete FastAPI's description when it is first requested."""
    fastapi_description = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = fastapi_description()
            reference = "#/components/schemas/{model}"
            _add_schemas(schema["components"]["schemas"], reference)
            for path in schema["paths"].values():
                for operation in path.values():
                    _drop_framework_error(operation)
                    _order_formats(operation)
                    _tidy_parameters(operation)
                    _show_example(operation)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _add_schemas(schemas: dict[str, Any], reference: str) -> None:
    """Add the schemas of bodies that no route declares, and remove FastAPI's form of errors."""
    for model in (Problem, InferenceRequest):
        schema = model.model_json_schema(ref_template=reference)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _drop_framework_error(operation: dict[str, Any]) -> None:
    """Remove FastAPI's own 422, which every operation with parameters has: no request is answered so."""
    if "application/problem+json" not in operation["responses"].get("422", {}).get("content", {}):
        operation["responses"].pop("422", None)


def _order_formats(operation: dict[str, Any]) -> None:
    """List the formats in the order of FORMATS; FastAPI puts JSON first."""
    content = operation["responses"].get("200", {}).get("content", {})
    by_media_type = dict(content)
    content.clear()
    for media_type in (*(each.media_type for each in FORMATS.values()), *by_media_type):
        if media_type in by_media_type:
            content.setdefault(media_type, by_media_type[media_type])


def _show_example(operation: dict[str, Any]) -> None:
    content = operation["responses"].get("200", {}).get("content", {})
    if _JSON in content:
        content[_JSON]["example"] = example_json(EXAMPLES[operation["operationId"]])


def _tidy_parameters(operation: dict[str, Any]) -> None:
    """List an endpoint's own parameters first, and remove null, which a query cannot contain."""
    parameters = operation.get("parameters", [])
    parameters.sort(key=lambda parameter: _position(parameter["name"]))
    for parameter in parameters:
        schema = parameter["schema"]
        choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
        if len(choices) == 1:
            del schema["anyOf"]
            schema.update(choices[0])


def _position(name: str) -> int:
    return _LAST.index(name) if name in _LAST else -1


def _problem(status: int) -> dict[str, Any]:
    kinds = [kind for kind in {*PROBLEMS.values(), INTERNAL} if kind.status == status]
    titles = sorted(kind.title for kind in kinds)
    slug, fields = _EXAMPLES[status]
    kind = next(kind for kind in kinds if kind.slug == slug)
    example = {
        "type": kind.uri,
        "title": kind.title,
        "status": status,
        "instance": "/generate",
        "request_id": "5f2b0c6a9d3e4f17",
        **fields,
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
            "detail": "the multipart form is malformed: Missing boundary in multipart.",
            "instance": _RECONSTRUCT,
            "remedy": "let an HTTP library encode the form, including its boundary",
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
            "detail": "the service was started without an admin token",
            "instance": _ALIAS,
            "remedy": "set ZSERVE_ADMIN_TOKEN and restart the service",
        },
    ),
    404: (
        "version-not-found",
        {"detail": "mnist has no version 9", "remedy": "GET /models lists the models and versions"},
    ),
    406: (
        "not-acceptable",
        {
            "detail": "the Accept header allows none of png, json, zip, npz",
            "remedy": "accept image/png, or set format=",
        },
    ),
    409: (
        "other-model",
        {
            "detail": "the file was written with mnist@6, network 1f0c53a9e77b2d64; "
            "this is mnist@6, network 8d21b6f04c93ae15",
            "instance": "/decompress",
            "remedy": "ask a service that has the version the file was written with",
        },
    ),
    413: (
        "body-too-large",
        {
            "detail": "the body has 2000000 bytes; the limit is 1048576",
            "instance": _RECONSTRUCT,
            "limit": 1048576,
            "remedy": "send a smaller image, or fewer images",
        },
    ),
    415: (
        "not-an-image",
        {
            "detail": "the image: 5 bytes that begin with b'hello' are not a "
            "PNG, JPEG, WebP, AVIF, HEIC or GIF file",
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
    429: (
        "rate-limited",
        {
            "detail": "too many attempts with a wrong token or key: the limit is 10/minute",
            "instance": _ALIAS,
            "limit": 10,
            "remedy": "try again after the time in Retry-After",
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
"""The problem that serves as example for each status: its slug and its other fields."""
