"""/v2: the Open Inference Protocol, so that clients of KServe and Triton can encode and decode."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from app.api import content_coding, v2_codec
from app.api.dependencies import Services, ServicesDep, refuse_if_stopping
from app.api.limits import at_most
from app.api.negotiation import accepted_coding
from app.api.provenance import model_headers
from app.api.responses_schema import ServerMetadata, TensorMetadata, VersionMetadata
from app.api.v2_schema import InferenceResponse, Live, ProtocolError, Ready
from app.errors import ParameterError
from app.inference.loaded_model import LoadedModel
from app.off_loop import LARGE_TEXT_BYTES, call
from app.typing import Floats
from model_store.spec import ModelRef

Name = Annotated[str, Path(description="Name of a model.", examples=["mnist"])]
Version = Annotated[str, Path(description="Version or alias.", examples=["1"])]

_MANY_VALUES = 4096
"""Numbers from which on an answer is written as JSON beside the event loop; 2 ms on the loop."""


router = APIRouter(prefix="/v2", tags=["v2 protocol"])

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_INFER_BODY = {
    "parameters": [
        {
            "name": v2_codec.LENGTH_HEADER,
            "in": "header",
            "required": False,
            "schema": {"type": "integer", "minimum": 0},
            "description": "Bytes of JSON at the start of the body, if raw bytes follow them.",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/InferenceRequest"},
                "example": {
                    "inputs": [
                        {"name": "z", "shape": [1, 2], "datatype": "FP32", "data": [0.5, -1.2]}
                    ]
                },
            },
            "application/octet-stream": _BINARY,
        },
    },
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of an operation, in the form of the protocol."""
    return {status: _ERRORS[status] for status in statuses}


def _error(description: str, example: str) -> dict[str, Any]:
    content = {"application/json": {"example": {"error": example}}}
    return {"description": description, "model": ProtocolError, "content": content}


_ERRORS = {
    400: _error(
        "The request does not follow the protocol.", "input z has type FP64, FP32 is expected"
    ),
    404: _error("No such model or version.", "no model 'nothing' in the store"),
    413: _error("The body is too large.", "the body has 30000000 bytes; the limit is 25165824"),
    415: _error("The content coding is not supported.", "the body has the content coding 'br'"),
    503: _error("The model cannot be served now.", "the service is being stopped"),
}
_INFER_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The outputs, as JSON or as JSON followed by raw bytes.",
        "model": InferenceResponse,
        "content": {"application/octet-stream": _BINARY},
    },
    **_errors(400, 404, 413, 415, 503),
}


@router.get("", summary="Describe the server", operation_id="v2_server")
async def server() -> ServerMetadata:
    """Return name, version and extensions of the server."""
    return ServerMetadata(name="zserve", version="1", extensions=["binary_tensor_data"])


@router.get("/health/live", summary="Check that the server is alive (v2)", operation_id="v2_live")
async def live() -> Live:
    """Return 200 as long as the process can answer."""
    return Live(live=True)


@router.get(
    "/health/ready",
    summary="Check that the server is ready (v2)",
    operation_id="v2_ready",
    responses=_errors(503),
)
async def ready(services: ServicesDep) -> Ready:
    """Return 200 once the default model is loaded and warmed up, until the service is stopped."""
    refuse_if_stopping(services)
    await services.model_cache.default_or_reason()
    return Ready(ready=True)


@router.get(
    "/models/{name}",
    summary="Describe a model (v2)",
    operation_id="v2_model",
    responses=_errors(400, 404, 503),
)
async def model(services: ServicesDep, name: Name) -> VersionMetadata:
    """Return versions, inputs and outputs: `z` gives `image`, `image` gives `mu` and `logvar`."""
    return await _metadata(await _model(services, name), services)


@router.get(
    "/models/{name}/versions/{version}",
    summary="Describe a version (v2)",
    operation_id="v2_version",
    responses=_errors(400, 404, 503),
)
async def version(services: ServicesDep, name: Name, version: Version) -> VersionMetadata:
    """Return all versions of the model, and inputs and outputs of this version."""
    return await _metadata(await _model(services, name, version), services)


@router.get(
    "/models/{name}/ready",
    summary="Check that a model is ready (v2)",
    operation_id="v2_model_ready",
    responses=_errors(400, 404, 503),
)
async def model_ready(services: ServicesDep, name: Name) -> Ready:
    """Load the model if it is not in memory, and then return 200."""
    await _model(services, name)
    return Ready(ready=True)


@router.get(
    "/models/{name}/versions/{version}/ready",
    summary="Check that a version is ready (v2)",
    operation_id="v2_version_ready",
    responses=_errors(400, 404, 503),
)
async def version_ready(services: ServicesDep, name: Name, version: Version) -> Ready:
    """Load the version if it is not in memory, and then return 200."""
    await _model(services, name, version)
    return Ready(ready=True)


@router.post(
    "/models/{name}/infer",
    summary="Encode or decode (v2)",
    operation_id="v2_infer",
    responses=_INFER_RESPONSES,
    openapi_extra=_INFER_BODY,
)
async def infer(request: Request, services: ServicesDep, name: Name) -> Response:
    """Decode `z` (batch, latent) to `image`, or encode `image` to `mu` and `logvar`.

    All tensors are FP32, as numbers in JSON or as raw bytes after the JSON. Images are (batch,
    channels, height, width) with pixels in [0, 1], and are not preprocessed; exact versions round them
    to grey levels.
    """
    return await _infer(request, await _model(services, name), services)


@router.post(
    "/models/{name}/versions/{version}/infer",
    summary="Encode or decode with a version (v2)",
    operation_id="v2_infer_version",
    responses=_INFER_RESPONSES,
    openapi_extra=_INFER_BODY,
)
async def infer_version(
    request: Request, services: ServicesDep, name: Name, version: Version
) -> Response:
    """Decode `z` or encode `image` with this version."""
    return await _infer(request, await _model(services, name, version), services)


async def _metadata(model: LoadedModel, services: Services) -> VersionMetadata:
    versions = await services.model_cache.store_threads.read(
        services.store.versions, model.ref.name
    )
    image = TensorMetadata(name="image", shape=[-1, *model.manifest.spec.image.shape])
    z, mu, logvar = (
        TensorMetadata(name=name, shape=[-1, model.latent]) for name in ("z", "mu", "logvar")
    )
    return VersionMetadata(
        name=model.ref.name,
        versions=[str(version) for version in versions],
        platform="zserve_vae",
        inputs=[z, image],
        outputs=[image, mu, logvar],
    )


async def _infer(request: Request, model: LoadedModel, services: Services) -> Response:
    inference = await _read(request, model, services)
    outputs = await _compute(inference, model, services)
    render = partial(
        v2_codec.render,
        inference,
        outputs,
        model_name=model.ref.name,
        model_version=str(model.ref.version),
    )
    large = v2_codec.json_values(inference, outputs) >= _MANY_VALUES
    body, headers = await call(render, off_loop=large)
    headers |= model_headers(model) | {"Vary": "Accept-Encoding"}
    coding = accepted_coding(request)
    if coding is not None and len(body) >= content_coding.MIN_BYTES:
        body = await call(partial(content_coding.compress, body, coding), off_loop=True)
        headers["Content-Encoding"] = coding
    return Response(body, headers=headers)


async def _read(request: Request, model: LoadedModel, services: Services) -> v2_codec.Inference:
    """Read and parse the body, beside the event loop if it is large or compressed."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    content_coding.check_coding(coding)
    settings = services.settings
    largest_row = max(model.latent, model.manifest.spec.image.pixels)

    def parse(body: bytes) -> v2_codec.Inference:
        if coding != "identity":
            body = content_coding.decompress(body, limit=settings.max_v2_body_bytes)
        json_length = request.headers.get(v2_codec.LENGTH_HEADER)
        return v2_codec.parse(body, json_length, max_values=settings.max_images * largest_row)

    async with services.large_bodies.place(request):
        body = await request.body()
        large = coding != "identity" or len(body) >= LARGE_TEXT_BYTES
        return await call(partial(parse, body), off_loop=large)


async def _model(services: Services, name: str, version: str | None = None) -> LoadedModel:
    reference = name if version is None else f"{name}@{version}"
    return await services.model_cache.get(str(ModelRef.parse(reference)))


async def _compute(
    inference: v2_codec.Inference, model: LoadedModel, services: Services
) -> Mapping[str, Floats]:
    """Return the outputs of an inference request by name; raises ParameterError."""
    name, values = inference.name, inference.values
    _check(inference, model, services)
    if name == "z":
        return {"image": await services.engine.decode(model, values)}
    mu, logvar = await services.engine.encode(model, values)
    return {"mu": mu, "logvar": logvar}


def _check(inference: v2_codec.Inference, model: LoadedModel, services: Services) -> None:
    """Raise ParameterError unless the input and the requested outputs fit the model."""
    shapes = {"z": (model.latent,), "image": model.manifest.spec.image.shape}
    output_names = {"z": ("image",), "image": ("mu", "logvar")}
    name, values = inference.name, inference.values
    if name not in shapes:
        raise ParameterError(f"the input is {name[:80]}; either z or image is expected")
    if values.shape[1:] != shapes[name] or not len(values):
        expected = [-1, *shapes[name]]
        raise ParameterError(f"{name} has shape {list(values.shape)}, {expected} is expected")
    at_most("the batch", len(values), services.settings.max_images, "ZSERVE_MAX_IMAGES")
    unknown = inference.outputs.keys() - set(output_names[name])
    if unknown:
        raise ParameterError(
            f"the outputs of {name} are {' and '.join(output_names[name])}, "
            f"there is no {min(unknown)[:80]}"
        )
    if name == "image" and (values.min() < 0 or values.max() > 1):
        raise ParameterError("image has pixels outside [0, 1]")
