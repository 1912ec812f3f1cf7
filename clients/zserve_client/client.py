"""The client: one method for each thing that one can ask of a service."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import httpx

from zserve_client import operations
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

URL = "http://localhost:8000"
BROKEN = (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError)
"""Errors of the connection, after which the same request may succeed; not a slow answer."""
BETWEEN_LOOKS_S = 0.25


class Client:
    """Asks a zserve for images.

    An image to send is the bytes of a PNG or JPEG, a path, a Pillow image or a uint8 array. Every
    method raises ZserveError: a ProblemError where the service refused, NoAnswerError where nobody
    answered. Where the service is busy (429, 503) or the connection broke, the request is sent
    again up to `retries` times, after what Retry-After says, but never after a wait of more than
    `longest_wait_s`. Use it in a `with` block, or `close()` it.
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
        self._http = httpx.Client(
            base_url=self._url, timeout=timeout_s, headers=all_headers(token, headers)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --- images --------------------------------------------------------------------------------

    def generate(
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
        """n samples of z ~ N(0, I), decoded; with a label, samples of that class.

        Image i has seed + i, and alone it gives the same bytes; where no seed is given the service
        chooses one. `model` is name, name@version or name@alias. With `numbers`, a second request
        for the same images brings z of each.
        """
        return self._run(
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

    def reconstruct(
        self,
        images: Source | Sequence[Source],
        *,
        model: str | None = None,
        preprocess: Literal["auto", "none"] = "auto",
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Reconstructions:
        """What the model sees in one or several images, and what it makes of them.

        With `numbers`, a second request brings mu, logvar, bce_nats and kl_nats of each.
        """
        return self._run(
            operations.reconstruct(
                images,
                model=model,
                preprocess=preprocess,
                scale=scale,
                metadata=metadata,
                numbers=numbers,
            )
        )

    def interpolate(
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
        """The way from A to B through the latent space; each is an image or a seed (an int).

        As a row, or as a GIF or APNG that shows each frame for `frame_ms`, again and again with
        `loop`, and back to A with `bounce`.
        """
        return self._run(
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

    def traverse(
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
        """One row for each latent dimension, set to values from -span to +span.

        Around an image, a seed (an int) or 0; the most informative dimensions come first.
        """
        return self._run(
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

    def augment(
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
        """n variants of an image: z = mu + temperature * sigma * eps, decoded."""
        return self._run(
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

    def encode(
        self,
        images: Source | Sequence[Source],
        *,
        model: str | None = None,
        preprocess: Literal["auto", "none"] = "auto",
    ) -> Encodings:
        """Where images lie in the latent space: mu, logvar = ln sigma^2 and KL in nats."""
        return self._run(operations.encode(images, model=model, preprocess=preprocess))

    def decode(
        self,
        z: Any,
        *,
        model: str | None = None,
        columns: int | None = None,
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Grid:
        """The images of latents: rows of numbers, an array (n, latent), or what `encode` gave."""
        return self._run(
            operations.decode(
                z, model=model, columns=columns, scale=scale, metadata=metadata, numbers=numbers
            )
        )

    # --- large sets ----------------------------------------------------------------------------

    def download(
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
        """Samples into a .zip, .npz, .json or .png, which appears whole or not at all.

        A zip is written while it arrives: it can be larger than memory.
        """
        return self._run(
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

    def export(
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
        """n images of each label into a folder that torchvision's ImageFolder opens.

        `labels` is one class, several, or "all"; image i of each label has seed + i. Called again
        with the same arguments it goes on where it was cut, with the same weights and seed.
        `progress(done, total)` is called as images arrive.
        """
        return self._run(
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

    def models(self) -> list[Model]:
        """Every model, with the version that its bare name means and its numbers."""
        return self._run(operations.models())

    def model(self, ref: str | None = None) -> ModelVersion:
        """The card and the manifest of name, name@version or name@alias; else of the default."""
        return self._run(operations.model(ref))

    def figure(self, name: str, ref: str | None = None) -> Picture:
        """A figure that was made when a version was published, such as `samples`."""
        return self._run(operations.figure(name, ref))

    def promote(self, name: str, version: int, *, alias: str = "production") -> dict[str, int]:
        """Point an alias at a version, which needs the token; gives all aliases of the model."""
        return self._run(operations.promote(name, version, alias=alias))

    def live(self) -> Health:
        """Whether the process lives."""
        return self._run(operations.live())

    def ready(self) -> Health:
        """Whether the default model is served; raises UnavailableError where it is not."""
        return self._run(operations.ready())

    def wait_until_ready(self, timeout_s: float = 60.0) -> Health:
        """Ask until it is ready; raises the last error once `timeout_s` are over."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.ready()
            except (NoAnswerError, UnavailableError):
                if time.monotonic() + BETWEEN_LOOKS_S > deadline:
                    raise
            time.sleep(BETWEEN_LOOKS_S)

    # --- the wire ------------------------------------------------------------------------------

    def _run(self, steps: Steps[T]) -> T:
        """Carry each call of an operation to the service, and its reply back."""
        reply: Reply | None = None
        while True:
            step = advance(steps, reply)
            if isinstance(step, Done):
                return step.value
            reply = self._patiently(step)

    def _patiently(self, call: Call) -> Reply:
        asked = 0
        while True:
            asked += 1
            try:
                reply = self._send(call)
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
            time.sleep(wait_s)

    def _send(self, call: Call) -> Reply:
        with self._http.stream(call.method, call.path, **request_options(call)) as response:
            if call.into is None or response.is_error:
                content = response.read()
            else:
                content = b""
                with call.into.open("wb") as file:
                    for piece in response.iter_bytes():
                        file.write(piece)
            return Reply(response.status_code, response.headers, content)


def all_headers(token: str | None, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers of every request."""
    bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
    return {"User-Agent": "zserve-client", **bearer, **(headers or {})}


def request_options(call: Call) -> dict[str, Any]:
    """What httpx takes of a call."""
    return {
        "params": dict(call.params),
        "files": list(call.files) or None,
        "json": call.json,
    }


def no_answer(url: str, error: httpx.HTTPError) -> NoAnswerError:
    """The error for a request that nobody answered."""
    why = str(error) or type(error).__name__
    if isinstance(error, httpx.ReadTimeout):
        return NoAnswerError(f"{url} did not answer in time; a longer timeout_s may help")
    return NoAnswerError(
        f"no answer from {url} ({why}); is the server running? `zserve serve` starts one"
    )
