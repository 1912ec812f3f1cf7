# Generated from _async_client.py by scripts/unasync.py; do not edit.
"""The client: one method for each endpoint of the service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from zserve_client import _requests, _responses
from zserve_client._export import ExportOptions, export
from zserve_client._requests import LIVE, MODELS, READY, Preprocess, Request, post, uploads
from zserve_client._responses import read_image, read_json
from zserve_client._results import (
    CompressedImages,
    DecompressedImages,
    Download,
    Encodings,
    Export,
    Grid,
    Health,
    ImageFile,
    Interpolation,
    Model,
    ModelVersion,
    Reconstructions,
    Scores,
    Traversal,
)
from zserve_client._retry import RetryPolicy
from zserve_client._transport import Transport

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from zserve_client._export import ProgressCallback
    from zserve_client._images import ImageSource

DEFAULT_URL = "http://localhost:8000"


class Client:
    """Client of a zserve service; use it as a context manager, or `close()` it.

    Every method raises ZserveError: ProblemError if the service refuses the request, NoAnswerError
    if the connection fails. A request is repeated if the service is busy (429, 503) or the
    connection breaks.

    These arguments have one meaning in all methods:

    - An image is the bytes of an image file, a path, a Pillow image or a uint8 array.
    - `model` is `name`, `name@version` or `name@alias`; by default the default model of the service.
    - `seed` is 0 to 2^32 - 1. Image i has seed + i, and the same seed gives the same bytes. Without
      a seed, the service chooses one.
    - `preprocess="auto"` adapts any photo to the model; `"none"` takes an image that fits already.
    - `scale` enlarges each pixel by a whole factor.
    - `metadata` writes the parameters of the request into the file.
    - `numbers` sends a second request for the same images and sets `numbers` of the result to its
      JSON document.

    Args:
        url: Address of the service.
        token: API key, if the service requires one; or the token for `promote`.
        timeout_s: Longest wait for a connection or for more bytes, in seconds.
        retries: Maximum number of repetitions of a request.
        longest_wait_s: Longest wait before a repetition, in seconds. If Retry-After is longer,
            the request is not repeated.
        headers: Additional headers of every request.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        token: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 3,
        longest_wait_s: float = 30.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._transport = Transport(
            url,
            policy=RetryPolicy(retries, longest_wait_s),
            timeout_s=timeout_s,
            headers={"User-Agent": "zserve-client", **authorization, **(headers or {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

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
        """Return n samples as a grid: z ~ N(0, temperature^2 I), decoded.

        `label` is the name or the index of a class. With `numbers`, the result has z of each image.
        """
        samples = {"n": n, "seed": seed, "temperature": temperature, "label": label}
        output = {"columns": columns, "scale": scale, "metadata": metadata}
        request = post("/generate", {"model": model}, samples, output)
        return self._grid(request, numbers, n=n, columns=columns, scale=scale)

    def augment(
        self,
        image: ImageSource,
        n: int = 16,
        *,
        seed: int | None = None,
        model: str | None = None,
        temperature: float = 1.0,
        preprocess: Preprocess = "auto",
        columns: int | None = None,
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Grid:
        """Return n variants of an image as a grid: z = mu + temperature * sigma * eps, decoded."""
        source = {"model": model, "preprocess": preprocess}
        samples = {"n": n, "seed": seed, "temperature": temperature}
        output = {"columns": columns, "scale": scale, "metadata": metadata}
        request = post("/augment", source, samples, output, files=uploads(image))
        return self._grid(request, numbers, n=n, columns=columns, scale=scale)

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
        """Return the images of latents as a grid.

        `z` is rows of numbers, an array (n, latent), or the result of `encode`.
        """
        rows = _requests.latent_rows(z)
        output = {"columns": columns, "scale": scale, "metadata": metadata}
        request = post("/decode", {"model": model}, output, json={"z": rows})
        return self._grid(request, numbers, n=len(rows), columns=columns, scale=scale)

    def reconstruct(
        self,
        images: ImageSource | Sequence[ImageSource],
        *,
        model: str | None = None,
        preprocess: Preprocess = "auto",
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Reconstructions:
        """Return images as the model sees them, and their reconstructions.

        With `numbers`, the result has mu, logvar, bce_nats and kl_nats of each image.
        """
        files = uploads(images)
        source = {"model": model, "preprocess": preprocess}
        output = {"scale": scale, "metadata": metadata}
        request = post("/reconstruct", source, output, files=files)
        image = self._image(request, numbers)
        return Reconstructions(**vars(image), n=len(files), scale=scale)

    def interpolate(
        self,
        a: ImageSource | int,
        b: ImageSource | int,
        *,
        steps: int = 8,
        path: Literal["linear", "slerp"] = "linear",
        model: str | None = None,
        preprocess: Preprocess = "auto",
        format: Literal["png", "gif", "apng"] = "png",  # noqa: A002 - the parameter of the service
        frame_ms: int | None = None,
        loop: bool | None = None,
        bounce: bool | None = None,
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Interpolation:
        """Return a path through the latent space from A to B; each is an image or a seed (int).

        A PNG is one row. A GIF or APNG shows each frame for `frame_ms` milliseconds; it repeats
        with `loop`, and runs back to A with `bounce`.
        """
        seed_a, upload_a = _requests.seed_or_upload("a", a)
        seed_b, upload_b = _requests.seed_or_upload("b", b)
        source = {"model": model, "preprocess": preprocess, "seed_a": seed_a, "seed_b": seed_b}
        walk = {"steps": steps, "path": path, "scale": scale, "metadata": metadata}
        animation = {"format": format, "frame_ms": frame_ms, "loop": loop, "bounce": bounce}
        request = post("/interpolate", source, walk, animation, files=upload_a + upload_b)
        image = self._image(request, numbers)
        return Interpolation(**vars(image), steps=steps, scale=scale)

    def traverse(
        self,
        start: ImageSource | int | None = None,
        *,
        dims: Sequence[int] | None = None,
        directions: str | Sequence[str] | None = None,
        steps: int = 7,
        span: float = 3.0,
        model: str | None = None,
        preprocess: Preprocess = "auto",
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Traversal:
        """Return one row for each latent dimension, in which it changes from -span to +span.

        `start` is an image, a seed (int), or None for z = 0. Without `dims`, the most informative
        dimensions come first. `directions` are names from `Model.directions`: each row then moves
        the start along one of them, by -span to +span standard deviations.
        """
        seed, files = _requests.seed_or_upload("image", start)
        source = {"model": model, "preprocess": preprocess, "seed": seed}
        rows = {"dims": dims, "direction": directions, "steps": steps, "span": span}
        output = {"scale": scale, "metadata": metadata}
        request = post("/traverse", source, rows, output, files=files)
        image = self._image(request, numbers)
        return Traversal(**vars(image), steps=steps, scale=scale)

    def edit(
        self,
        images: ImageSource | Sequence[ImageSource] | int,
        moves: Mapping[str, float],
        *,
        model: str | None = None,
        preprocess: Preprocess = "auto",
        scale: int = 1,
        metadata: bool = True,
        numbers: bool = False,
    ) -> Grid:
        """Return reconstructions of images, moved along directions with a meaning, as one row.

        `images` are images, or a seed (int). `moves` has the size of the move, in standard
        deviations, for each direction: `{"slant": 2, "thickness": -1}`. `Model.directions` lists
        the directions of a model.
        """
        seed, files = _requests.seed_or_uploads(images)
        source = {"model": model, "preprocess": preprocess, "seed": seed}
        moved = {"direction": list(moves), "by": list(moves.values())}
        output = {"scale": scale, "metadata": metadata}
        request = post("/edit", source, moved, output, files=files)
        n = max(1, len(files))
        return self._grid(request, numbers, n=n, columns=n, scale=scale)

    def encode(
        self,
        images: ImageSource | Sequence[ImageSource],
        *,
        model: str | None = None,
        preprocess: Preprocess = "auto",
    ) -> Encodings:
        """Return mu, logvar = ln sigma^2 and the KL divergence in nats of each image."""
        source = {"model": model, "preprocess": preprocess, "format": "json"}
        request = post("/encode", source, files=uploads(images))
        return _responses.read_encodings(self._transport.send(request))

    def score(
        self,
        images: ImageSource | Sequence[ImageSource],
        *,
        draws: int = 64,
        seed: int | None = None,
        model: str | None = None,
        preprocess: Preprocess = "auto",
    ) -> Scores:
        """Return ELBO, -ln p(x) and the verdict whether each image is typical of the model's data.

        `draws` is the number of latents per image by which ELBO and -ln p(x) are estimated. The
        verdict does not depend on it.
        """
        source = {"model": model, "preprocess": preprocess, "format": "json"}
        request = post("/score", source, {"draws": draws, "seed": seed}, files=uploads(images))
        return _responses.read_scores(self._transport.send(request))

    # --- compression ---------------------------------------------------------------------------

    def compress(
        self,
        images: ImageSource | Sequence[ImageSource],
        *,
        model: str | None = None,
    ) -> CompressedImages:
        """Return images of the model's size as one file, without any loss.

        `images` is an image, a list of images, or an array (n, height, width[, 3]). The model must
        be an exact version.
        """
        files = _requests.images_to_compress(images)
        request = post("/compress", {"model": model}, files=files)
        return _responses.read_compressed(self._transport.send(request))

    def decompress(
        self, file: CompressedImages | bytes | str | os.PathLike[str]
    ) -> DecompressedImages:
        """Return the images of a compressed file, which is its content, its path, or a result.

        The service must have the version that the file was written with.
        """
        files = [_requests.compressed_file(file)]
        request = post("/decompress", {"format": "zip"}, files=files)
        return _responses.read_decompressed(self._transport.send(request))

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
        """Write n samples to a .zip, .npz, .json or .png file.

        The body is streamed to a temporary file that replaces `path` at the end, so a zip may be
        larger than memory, and a failed download changes nothing.
        """
        samples = {"n": n, "seed": seed, "temperature": temperature, "label": label}
        output = {"scale": scale, "metadata": metadata}
        request = post("/generate", {"model": model}, samples, output)
        return self._download(request, Path(path))

    def download_decoded(
        self,
        path: str | os.PathLike[str],
        z: Any,
        *,
        model: str | None = None,
        scale: int = 1,
        metadata: bool = True,
    ) -> Download:
        """Write the images of latents to a .zip, .npz, .json or .png file; `z` as for `decode`."""
        output = {"scale": scale, "metadata": metadata}
        rows = _requests.latent_rows(z)
        request = post("/decode", {"model": model}, output, json={"z": rows})
        return self._download(request, Path(path))

    def download_variants(
        self,
        path: str | os.PathLike[str],
        image: ImageSource,
        n: int = 16,
        *,
        seed: int | None = None,
        model: str | None = None,
        temperature: float = 1.0,
        preprocess: Preprocess = "auto",
        scale: int = 1,
        metadata: bool = True,
    ) -> Download:
        """Write n variants of an image, those of `augment`, to a .zip, .npz, .json or .png file."""
        source = {"model": model, "preprocess": preprocess}
        samples = {"n": n, "seed": seed, "temperature": temperature}
        output = {"scale": scale, "metadata": metadata}
        request = post("/augment", source, samples, output, files=uploads(image))
        return self._download(request, Path(path))

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
        progress: ProgressCallback | None = None,
    ) -> Export:
        """Write n images of each label into a folder that torchvision's ImageFolder reads.

        `labels` is one class, a list of classes, or "all". Image i of each label has seed + i. An
        interrupted export continues if it is called again with the same arguments, and grows if n is
        larger; it keeps its weights and its seed. `progress(done, total)` is called as images
        arrive; with asyncio, in a thread.
        """
        options = ExportOptions(n, seed, model, labels, temperature, scale, metadata)
        return self._transport.run(export(Path(folder), options, progress))

    # --- models --------------------------------------------------------------------------------

    def models(self) -> list[Model]:
        """Return every model with its production version and the metrics of that version."""
        return _responses.read_models(self._transport.send(MODELS))

    def model(self, ref: str | None = None) -> ModelVersion:
        """Return the card and manifest of `name`, `name@version`, `name@alias` or the default."""
        if ref is None:
            ref = _responses.default_model(self.models()).ref
        return _responses.read_version(self._transport.send(_requests.version_request(ref)))

    def figure(self, name: str, ref: str | None = None) -> ImageFile:
        """Return a figure that was published with a version, such as `samples`."""
        version = self.model(ref)
        request = _requests.figure_request(version.name, version.version, name)
        return _responses.read_figure(self._transport.send(request), version)

    def promote(self, name: str, version: int, *, alias: str = "production") -> dict[str, int]:
        """Point an alias at a version, and return all aliases of the model; needs the token."""
        request = _requests.alias_request(name, alias, version)
        return dict(read_json(self._transport.send(request))["aliases"])

    def live(self) -> Health:
        """Return the state of the process."""
        return _responses.read_health(self._transport.send(LIVE))

    def ready(self) -> Health:
        """Return the state of the service; raises UnavailableError if it cannot serve yet."""
        return _responses.read_health(self._transport.send(READY))

    def wait_until_ready(self, timeout_s: float = 60.0) -> Health:
        """Wait until the service is ready; raises the last error after `timeout_s` seconds."""
        return _responses.read_health(self._transport.poll(READY, timeout_s))

    # --- shared by the methods above -----------------------------------------------------------

    def _download(self, request: Request, path: Path) -> Download:
        """Stream the answer to a temporary file that replaces `path` at the end."""
        params = {**request.params, "format": _requests.download_format(path)}
        with _requests.replacing(path) as part:
            reply = self._transport.send(replace(request, params=params, save_to=part))
            image = read_image(reply)
        return Download(
            path=path, model=image.model, weights_sha256=image.weights_sha256, seed=image.seed
        )

    def _image(self, request: Request, numbers: bool) -> ImageFile:
        """Return an image, with the JSON document of the same images if `numbers` is true."""
        image = read_image(self._transport.send(request))
        if not numbers:
            return image
        reply = self._transport.send(_requests.as_json_request(request, image))
        return replace(image, numbers=read_json(reply))

    def _grid(
        self, request: Request, numbers: bool, *, n: int, columns: int | None, scale: int
    ) -> Grid:
        image = self._image(request, numbers)
        columns = columns or _responses.square_columns(n)
        return Grid(**vars(image), n=n, columns=columns, scale=scale)
