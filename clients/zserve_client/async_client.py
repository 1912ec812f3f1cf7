"""The same client for asyncio: every method of Client, to be awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import httpx

from zserve_client import operations
from zserve_client.client import (
    BETWEEN_LOOKS_S,
    BROKEN,
    URL,
    all_headers,
    no_answer,
    request_options,
)
from zserve_client.errors import NoAnswerError, UnavailableError
from zserve_client.export import Progress, export
from zserve_client.results import (
    Download,
    Encodings,
    Export,
    Grid,
    Health,
    Interpolation,
    Model,
    ModelVersion,
    Picture,
    Reconstructions,
    Traversal,
)
from zserve_client.wire import BUSY, Call, Done, Patience, Reply, Steps, advance

if TYPE_CHECKING:
    import os

    from zserve_client.pictures import Source

T = TypeVar("T")


class AsyncClient:
    """Asks a zserve for images without blocking; arguments and results are those of Client.

    Use it in an `async with` block, or `await close()`. Files are read and written by threads where
    they may be large: in `export`.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        token: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 3,
        longest_wait_s: float = 30.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._patience = Patience(retries, longest_wait_s)
        self._http = httpx.AsyncClient(
            base_url=self._url, timeout=timeout_s, headers=all_headers(token, headers)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """See Client.close."""
        await self._http.aclose()

    # --- images --------------------------------------------------------------------------------

    async def generate(
        self,
        n: int = 16,
        *,
        seed: int | None = None,
        model: str | None = None,
        temperature: float = 1.0,
        label: str | int | None = None,
        columns: int | None = None,
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Grid:
        """See Client.generate."""
        return await self._run(
            operations.generate(
                n,
                seed=seed,
                model=model,
                temperature=temperature,
                label=label,
                columns=columns,
                scale=scale,
                metadata=metadata,
                numbers=numbers,
            )
        )

    async def reconstruct(
        self,
        images: Source | Sequence[Source],
        *,
        model: str | None = None,
        preprocess: Literal["auto", "none"] = "auto",
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Reconstructions:
        """See Client.reconstruct."""
        return await self._run(
            operations.reconstruct(
                images,
                model=model,
                preprocess=preprocess,
                scale=scale,
                metadata=metadata,
                numbers=numbers,
            )
        )

    async def interpolate(
        self,
        a: Source | int,
        b: Source | int,
        *,
        steps: int = 8,
        path: Literal["linear", "slerp"] = "linear",
        model: str | None = None,
        preprocess: Literal["auto", "none"] = "auto",
        format: Literal["png", "gif", "apng"] = "png",  # noqa: A002 - the service's name for it
        frame_ms: int | None = None,
        loop: bool | None = None,
        bounce: bool | None = None,
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Interpolation:
        """See Client.interpolate."""
        return await self._run(
            operations.interpolate(
                a,
                b,
                steps=steps,
                path=path,
                model=model,
                preprocess=preprocess,
                format=format,
                frame_ms=frame_ms,
                loop=loop,
                bounce=bounce,
                scale=scale,
                metadata=metadata,
                numbers=numbers,
            )
        )

    async def traverse(
        self,
        start: Source | int | None = None,
        *,
        dims: Sequence[int] | None = None,
        steps: int = 7,
        span: float = 3.0,
        model: str | None = None,
        preprocess: Literal["auto", "none"] = "auto",
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Traversal:
        """See Client.traverse."""
        return await self._run(
            operations.traverse(
                start,
                dims=dims,
                steps=steps,
                span=span,
                model=model,
                preprocess=preprocess,
                scale=scale,
                metadata=metadata,
                numbers=numbers,
            )
        )

    async def augment(
        self,
        image: Source,
        n: int = 16,
        *,
        seed: int | None = None,
        model: str | None = None,
        temperature: float = 1.0,
        preprocess: Literal["auto", "none"] = "auto",
        columns: int | None = None,
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Grid:
        """See Client.augment."""
        return await self._run(
            operations.augment(
                image,
                n,
                seed=seed,
                model=model,
                temperature=temperature,
                preprocess=preprocess,
                columns=columns,
                scale=scale,
                metadata=metadata,
                numbers=numbers,
            )
        )

    # --- latents -------------------------------------------------------------------------------

    async def encode(
        self,
        images: Source | Sequence[Source],
        *,
        model: str | None = None,
        preprocess: Literal["auto", "none"] = "auto",
    ) -> Encodings:
        """See Client.encode."""
        return await self._run(operations.encode(images, model=model, preprocess=preprocess))

    async def decode(
        self,
        z: Any,
        *,
        model: str | None = None,
        columns: int | None = None,
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Grid:
        """See Client.decode."""
        return await self._run(
            operations.decode(
                z, model=model, columns=columns, scale=scale, metadata=metadata, numbers=numbers
            )
        )

    # --- large sets ----------------------------------------------------------------------------

    async def download(
        self,
        path: str | os.PathLike[str],
        n: int = 16,
        *,
        seed: int | None = None,
        model: str | None = None,
        temperature: float = 1.0,
        label: str | int | None = None,
        scale: int = 1,
        metadata: bool = True,
    ) -> Download:
        """See Client.download."""
        return await self._run(
            operations.download(
                path,
                n,
                seed=seed,
                model=model,
                temperature=temperature,
                label=label,
                scale=scale,
                metadata=metadata,
            )
        )

    async def export(
        self,
        folder: str | os.PathLike[str],
        n: int,
        *,
        seed: int | None = None,
        model: str | None = None,
        labels: str | int | Sequence[str | int] | None = None,
        temperature: float = 1.0,
        scale: int = 1,
        metadata: bool = True,
        progress: Progress | None = None,
    ) -> Export:
        """See Client.export."""
        return await self._run_apart(
            export(
                folder,
                n,
                seed=seed,
                model=model,
                labels=labels,
                temperature=temperature,
                scale=scale,
                metadata=metadata,
                progress=progress,
            )
        )

    # --- models --------------------------------------------------------------------------------

    async def models(self) -> list[Model]:
        """See Client.models."""
        return await self._run(operations.models())

    async def model(self, ref: str | None = None) -> ModelVersion:
        """See Client.model."""
        return await self._run(operations.model(ref))

    async def figure(self, name: str, ref: str | None = None) -> Picture:
        """See Client.figure."""
        return await self._run(operations.figure(name, ref))

    async def promote(
        self, name: str, version: int, *, alias: str = "production"
    ) -> dict[str, int]:
        """See Client.promote."""
        return await self._run(operations.promote(name, version, alias=alias))

    async def live(self) -> Health:
        """See Client.live."""
        return await self._run(operations.live())

    async def ready(self) -> Health:
        """See Client.ready."""
        return await self._run(operations.ready())

    async def wait_until_ready(self, timeout_s: float = 60.0) -> Health:
        """See Client.wait_until_ready."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return await self.ready()
            except (NoAnswerError, UnavailableError):
                if time.monotonic() + BETWEEN_LOOKS_S > deadline:
                    raise
            await asyncio.sleep(BETWEEN_LOOKS_S)

    # --- the wire ------------------------------------------------------------------------------

    async def _run(self, steps: Steps[T]) -> T:
        """Carry each call of an operation to the service, and its reply back."""
        reply: Reply | None = None
        while True:
            step = advance(steps, reply)
            if isinstance(step, Done):
                return step.value
            reply = await self._patiently(step)

    async def _run_apart(self, steps: Steps[T]) -> T:
        """The same for an operation that itself reads and writes many files: in threads."""
        reply: Reply | None = None
        while True:
            step = await asyncio.to_thread(advance, steps, reply)
            if isinstance(step, Done):
                return step.value
            reply = await self._patiently(step)

    async def _patiently(self, call: Call) -> Reply:
        asked = 0
        while True:
            asked += 1
            try:
                reply = await self._send(call)
                if reply.status not in BUSY:
                    return reply
                wait_s = self._patience.wait_s(asked, reply.headers) if call.again else None
                if wait_s is None:
                    return reply
            except httpx.HTTPError as error:
                again = call.again and isinstance(error, BROKEN)
                wait_s = self._patience.wait_s(asked, {}) if again else None
                if wait_s is None:
                    raise no_answer(self._url, error) from error
            await asyncio.sleep(wait_s)

    async def _send(self, call: Call) -> Reply:
        async with self._http.stream(call.method, call.path, **request_options(call)) as response:
            if call.into is None or response.is_error:
                content = await response.aread()
            else:
                content = b""
                with call.into.open("wb") as file:
                    async for piece in response.aiter_bytes():
                        file.write(piece)
            return Reply(response.status_code, response.headers, content)
