"""The tools of the Model Context Protocol over HTTP, with the models of the service."""

from dataclasses import dataclass

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from app.api.dependencies import Services
from app.api.encode_uploads import prepare_uploads
from app.api.mcp_images import decode_base64, read_manifests, read_samples
from app.api.mcp_tools import make_server
from app.inference.functions import ModelFunctions
from app.inference.loaded_model import LoadedModel
from app.settings import Settings
from app.typing import Bytes, Upload
from model_store.spec import Manifest

_LOOPBACK = {"127.0.0.1": "127.0.0.1", "localhost": "localhost", "::1": "[::1]"}


@dataclass(frozen=True, eq=False)
class ServedModels:
    """The models of the service."""

    services: Services

    @property
    def functions(self) -> ModelFunctions:
        """Return the engine, in whose queue the tools wait like all requests."""
        return self.services.engine

    async def get(self, reference: str | None) -> LoadedModel:
        """Return a model, which is loaded if it is not in memory."""
        return await self.services.model_cache.get(reference)

    async def manifests(self) -> list[Manifest]:
        """Return the manifests, read beside the event loop."""
        store, default = self.services.store, self.services.model_cache.default.name
        return await self.services.model_cache.store_threads.read(read_manifests, store, default)

    async def samples(self, manifest: Manifest) -> bytes | None:
        """Return the figure of samples, read beside the event loop."""
        store = self.services.store
        return await self.services.model_cache.store_threads.read(read_samples, store, manifest.ref)

    async def prepare(self, image: str, model: LoadedModel) -> Bytes:
        """Decode an image in base64 as an upload is decoded."""
        upload = Upload("the image", decode_base64(image))
        return await prepare_uploads([upload], "auto", model, self.services)


def session_manager(services: Services) -> StreamableHTTPSessionManager:
    """Return what answers POST /mcp. No session is kept, so any worker may answer any request."""
    settings = services.settings
    server = make_server(ServedModels(services), version="1")
    return StreamableHTTPSessionManager(
        server._lowlevel_server,  # noqa: SLF001 - the public method makes a whole Starlette app
        json_response=True,
        stateless=True,
        security_settings=_security(settings),
        max_request_body_size=settings.max_body_bytes,
    )


def _security(settings: Settings) -> TransportSecuritySettings:
    """Return the settings that keep pages of other sites from calling a service on this machine alone.

    By DNS rebinding, such a page reaches the service under a name of its own whose address is that of
    this machine. Host and Origin must therefore name this machine. If the service is behind a proxy or
    listens on another address, its names are not known, and nothing is checked.
    """
    if settings.host not in _LOOPBACK or settings.trusted_proxies:
        return TransportSecuritySettings(enable_dns_rebinding_protection=False)
    names = [*_LOOPBACK.values()]
    return TransportSecuritySettings(
        allowed_hosts=[*names, *(f"{name}:*" for name in names)],
        allowed_origins=[f"http://{name}{port}" for name in names for port in ("", ":*")],
    )
