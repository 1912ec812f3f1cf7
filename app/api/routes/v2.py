"""/v2: the inference protocol of KServe and Triton, so that their clients encode and decode."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.routing import APIRoute
from numpy import float32
from numpy.typing import NDArray
from starlette.responses import JSONResponse, Response

from app.api import answers, v2_codec
from app.api.dependencies import Services, ServicesDep
from app.api.schemas import ServerMetadata, TensorMetadata, VersionMetadata, at_most
from app.errors import ParameterError, ServiceError, UnsupportedBodyError, problem_type
from app.inference.loaded_model import LoadedModel
from model_store.errors import StoreError
from model_store.spec import ModelRef

Floats = NDArray[float32]
Name = Annotated[str, Path(description="Name of a model.", examples=["mnist"])]
Version = Annotated[str, Path(description="Version or alias.", examples=["1"])]


class ProtocolRoute(APIRoute):
    """Errors are {"error": ...}, and what a client did wrong is 400, as the protocol has it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler with the protocol's errors around it."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except (ServiceError, StoreError) as error:
                status = problem_type(error).status
                return JSONResponse({"error": str(error)}, 400 if status == 422 else status)

        return handle


router = APIRouter(prefix="/v2", tags=["v2 protocol"], route_class=ProtocolRoute)

_ERROR = {"application/json": {"example": {"error": "no model 'nothing' in the store"}}}
_INFER_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "inputs": [
                        {"name": "z", "shape": [1, 2], "datatype": "FP32", "data": [[0.5, -1.2]]}
                    ]
                },
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request is not as the protocol has it.", "content": _ERROR},
    404: {"description": "No such model or version.", "content": _ERROR},
    503: {"description": "It cannot be served now.", "content": _ERROR},
}


@router.get("", summary="Describe the server", operation_id="v2_server")
async def server() -> ServerMetadata:
    """Name, version and extensions."""
    return ServerMetadata(name="zserve", version="1", extensions=["binary_tensor_data"])


@router.get("/health/live", summary="Whether the server lives (v2)", operation_id="v2_live")
async def live() -> dict[str, bool]:
    """Always 200 while the process can answer at all."""
    return {"live": True}


@router.get(
    "/health/ready",
    summary="Whether the server is ready (v2)",
    operation_id="v2_ready",
    responses={503: _ERRORS[503]},
)
async def ready(services: ServicesDep) -> dict[str, bool]:
    """200 once the default model is loaded and warm."""
    await services.catalog.default_or_reason()
    return {"ready": True}


@router.get(
    "/models/{name}", summary="Describe a model (v2)", operation_id="v2_model", responses=_ERRORS
)
async def model(services: ServicesDep, name: Name) -> VersionMetadata:
    """Its versions, inputs and outputs: `z` gives `image`, `image` gives `mu` and `logvar`."""
    return _metadata(await _model(services, name), services)


@router.get(
    "/models/{name}/versions/{version}",
    summary="Describe a version (v2)",
    operation_id="v2_version",
    responses=_ERRORS,
)
async def version(services: ServicesDep, name: Name, version: Version) -> VersionMetadata:
    """The same of one version."""
    return _metadata(await _model(services, name, version), services)


@router.get(
    "/models/{name}/ready",
    summary="Whether a model is ready (v2)",
    operation_id="v2_model_ready",
    responses=_ERRORS,
)
async def model_ready(services: ServicesDep, name: Name) -> dict[str, bool]:
    """200 once it is loaded, which asking does."""
    await _model(services, name)
    return {"ready": True}


@router.get(
    "/models/{name}/versions/{version}/ready",
    summary="Whether a version is ready (v2)",
    operation_id="v2_version_ready",
    responses=_ERRORS,
)
async def version_ready(services: ServicesDep, name: Name, version: Version) -> dict[str, bool]:
    """200 once it is loaded, which asking does."""
    await _model(services, name, version)
    return {"ready": True}


@router.post(
    "/models/{name}/infer",
    summary="Encode or decode (v2)",
    operation_id="v2_infer",
    responses=_ERRORS,
    openapi_extra=_INFER_BODY,
)
async def infer(request: Request, services: ServicesDep, name: Name) -> Response:
    """The input chooses: `z` (batch, latent) gives `image`, `image` gives `mu` and `logvar`.

    All tensors are FP32, as JSON or as raw bytes behind it; images are (batch, channels, height,
    width) with pixels in [0, 1], and are taken as they are.
    """
    return await _infer(request, await _model(services, name), services)


@router.post(
    "/models/{name}/versions/{version}/infer",
    summary="Encode or decode with a version (v2)",
    operation_id="v2_infer_version",
    responses=_ERRORS,
    openapi_extra=_INFER_BODY,
)
async def infer_version(
    request: Request, services: ServicesDep, name: Name, version: Version
) -> Response:
    """The same with one version."""
    return await _infer(request, await _model(services, name, version), services)


def _metadata(model: LoadedModel, services: Services) -> VersionMetadata:
    image = TensorMetadata(name="image", shape=[-1, *model.manifest.spec.image.shape])
    z, mu, logvar = (
        TensorMetadata(name=each, shape=[-1, model.latent]) for each in ("z", "mu", "logvar")
    )
    return VersionMetadata(
        name=model.ref.name,
        versions=[str(each) for each in services.store.versions(model.ref.name)],
        platform="zserve_vae",
        inputs=[z, image],
        outputs=[image, mu, logvar],
    )


async def _infer(request: Request, model: LoadedModel, services: Services) -> Response:
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedBodyError("the body is compressed", remedy="send it as it is")
    given = v2_codec.parse(await request.body(), request.headers.get(v2_codec.LENGTH_HEADER))
    outputs = await _run(given, model, services)
    body, headers = v2_codec.render(
        given, outputs, model_name=model.ref.name, model_version=str(model.ref.version)
    )
    return Response(body, headers=answers.headers(model) | headers)


async def _model(services: Services, name: str, version: str | None = None) -> LoadedModel:
    reference = name if version is None else f"{name}@{version}"
    return await services.catalog.get(str(ModelRef.parse(reference)))


async def _run(
    given: v2_codec.Inference, model: LoadedModel, services: Services
) -> Mapping[str, Floats]:
    """The outputs of the one input; everything is checked before anything is computed."""
    shapes = {"z": (model.latent,), "image": model.manifest.spec.image.shape}
    produced = {"z": ("image",), "image": ("mu", "logvar")}
    if len(given.inputs) != 1 or not given.inputs.keys() <= shapes.keys():
        raise ParameterError(
            f"inputs are {', '.join(given.inputs)[:80]}; one of z and image is expected"
        )
    ((name, values),) = given.inputs.items()
    if values.shape[1:] != shapes[name] or not len(values):
        expected = [-1, *shapes[name]]
        raise ParameterError(f"{name} is {list(values.shape)}, {expected} is expected")
    at_most("the batch", len(values), services.settings.max_images, "ZSERVE_MAX_IMAGES")
    unknown = given.outputs.keys() - set(produced[name])
    if unknown:
        raise ParameterError(
            f"{name} gives {' and '.join(produced[name])}, and no {min(unknown)[:80]}"
        )
    if name == "z":
        return {"image": await services.engine.decode(model, values)}
    if values.min() < 0 or values.max() > 1:
        raise ParameterError("image has pixels outside [0, 1]")
    mu, logvar = await services.engine.encode(model, values)
    return {"mu": mu, "logvar": logvar}
