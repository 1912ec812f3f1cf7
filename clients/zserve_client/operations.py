"""What can be asked of the service: how each request is built and its answer read. No input, no output.

Both clients run these; every argument is described in `zserve_client.client.Client`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from zserve_client.errors import InputError, UnexpectedAnswerError
from zserve_client.pictures import as_file
from zserve_client.results import (
    Download,
    Encoding,
    Encodings,
    Grid,
    Health,
    Interpolation,
    Metric,
    Model,
    ModelVersion,
    Picture,
    Reconstructions,
    Traversal,
)
from zserve_client.wire import Call, Reply, Steps, as_params, ask, ask_json

if TYPE_CHECKING:
    import os

    from zserve_client.pictures import Source

P = TypeVar("P", bound=Picture)

DOWNLOADS = ("zip", "npz", "png", "json")
"""Forms in which samples can be fetched into a file: its suffix chooses one."""


# --- images ------------------------------------------------------------------------------------


def generate(
    n: int,
    *,
    seed: int | None,
    model: str | None,
    temperature: float,
    label: str | int | None,
    columns: int | None,
    scale: int,
    metadata: bool,
    numbers: bool,
) -> Steps[Grid]:
    """Samples as one PNG."""
    call = Call(
        "POST",
        "/generate",
        as_params(
            n=n,
            seed=seed,
            model=model,
            temperature=temperature,
            label=label,
            columns=columns,
            scale=scale,
            metadata=metadata,
        ),
    )
    reply = yield from ask(call)
    grid = Grid(n=n, columns=columns or square(n), scale=scale, **facts(reply))
    return (yield from _with_numbers(grid, call)) if numbers else grid


def augment(
    image: Source,
    n: int,
    *,
    seed: int | None,
    model: str | None,
    temperature: float,
    preprocess: str,
    columns: int | None,
    scale: int,
    metadata: bool,
    numbers: bool,
) -> Steps[Grid]:
    """Variants of an image as one PNG."""
    call = Call(
        "POST",
        "/augment",
        as_params(
            n=n,
            seed=seed,
            model=model,
            temperature=temperature,
            preprocess=preprocess,
            columns=columns,
            scale=scale,
            metadata=metadata,
        ),
        files=[("image", as_file(image, "image"))],
    )
    reply = yield from ask(call)
    grid = Grid(n=n, columns=columns or square(n), scale=scale, **facts(reply))
    return (yield from _with_numbers(grid, call)) if numbers else grid


def decode(
    z: Any,
    *,
    model: str | None,
    columns: int | None,
    scale: int,
    metadata: bool,
    numbers: bool,
) -> Steps[Grid]:
    """The images of latents as one PNG."""
    rows = as_rows(z)
    params = as_params(model=model, columns=columns, scale=scale, metadata=metadata)
    call = Call("POST", "/decode", params, json={"z": rows})
    reply = yield from ask(call)
    n = len(rows)
    grid = Grid(n=n, columns=columns or square(n), scale=scale, **facts(reply))
    return (yield from _with_numbers(grid, call)) if numbers else grid


def encode(
    images: Source | Sequence[Source], *, model: str | None, preprocess: str
) -> Steps[Encodings]:
    """Where images lie in the latent space."""
    params = as_params(model=model, preprocess=preprocess, format="json")
    found = yield from ask_json(Call("POST", "/encode", params, files=_uploads(images)))
    return Encodings(
        model=found["model"],
        weights_sha256=found["weights_sha256"],
        images=[
            Encoding(mu=each["mu"], logvar=each["logvar"], kl_nats=each["kl_nats"])
            for each in found["images"]
        ],
    )


def reconstruct(
    images: Source | Sequence[Source],
    *,
    model: str | None,
    preprocess: str,
    scale: int,
    metadata: bool,
    numbers: bool,
) -> Steps[Reconstructions]:
    """What the model saw and what it made of it, as one PNG."""
    files = _uploads(images)
    params = as_params(model=model, preprocess=preprocess, scale=scale, metadata=metadata)
    call = Call("POST", "/reconstruct", params, files=files)
    reply = yield from ask(call)
    rows = Reconstructions(n=len(files), scale=scale, **facts(reply))
    return (yield from _with_numbers(rows, call)) if numbers else rows


def interpolate(
    a: Source | int,
    b: Source | int,
    *,
    steps: int,
    path: str,
    model: str | None,
    preprocess: str,
    format: str,  # noqa: A002 - the service's own name for it
    frame_ms: int | None,
    loop: bool | None,
    bounce: bool | None,
    scale: int,
    metadata: bool,
    numbers: bool,
) -> Steps[Interpolation]:
    """The way from A to B as one PNG, GIF or APNG; each end is an image or a seed."""
    seeds: dict[str, int] = {}
    files = []
    for end, given in {"a": a, "b": b}.items():
        if isinstance(given, int):
            seeds[f"seed_{end}"] = given
        else:
            files.append((end, as_file(given, end)))
    call = Call(
        "POST",
        "/interpolate",
        as_params(
            **seeds,
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
        ),
        files=files,
    )
    reply = yield from ask(call)
    found = Interpolation(steps=steps, scale=scale, **facts(reply))
    return (yield from _with_numbers(found, call)) if numbers else found


def traverse(
    start: Source | int | None,
    *,
    dims: Sequence[int] | None,
    steps: int,
    span: float,
    model: str | None,
    preprocess: str,
    scale: int,
    metadata: bool,
    numbers: bool,
) -> Steps[Traversal]:
    """A row for each dimension as one PNG, through an image, a seed, or 0."""
    seed = start if isinstance(start, int) else None
    files = () if start is None or isinstance(start, int) else [("image", as_file(start, "image"))]
    params = as_params(
        seed=seed,
        dims=dims,
        steps=steps,
        span=span,
        model=model,
        preprocess=preprocess,
        scale=scale,
        metadata=metadata,
    )
    call = Call("POST", "/traverse", params, files=files)
    reply = yield from ask(call)
    found = Traversal(steps=steps, scale=scale, **facts(reply))
    return (yield from _with_numbers(found, call)) if numbers else found


def download(
    path: str | os.PathLike[str],
    n: int,
    *,
    seed: int | None,
    model: str | None,
    temperature: float,
    label: str | int | None,
    scale: int,
    metadata: bool,
) -> Steps[Download]:
    """Samples into a file, which appears whole or not at all."""
    path = Path(path)
    form = path.suffix.removeprefix(".").lower()
    if form not in DOWNLOADS:
        raise InputError(f"{path} has none of the suffixes {', '.join(DOWNLOADS)}")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent}")
    part = path.with_name(path.name + ".part")
    params = as_params(
        n=n,
        seed=seed,
        model=model,
        temperature=temperature,
        label=label,
        scale=scale,
        metadata=metadata,
        format=form,
    )
    try:
        reply = yield from ask(Call("POST", "/generate", params, into=part))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    kept = facts(reply)
    return Download(path=path, **{name: kept[name] for name in ("model", "weights_sha256", "seed")})


# --- models ------------------------------------------------------------------------------------


def models() -> Steps[list[Model]]:
    """Every model with the version that its bare name means."""
    found = yield from ask_json(Call("GET", "/models"))
    return [_model(each) for each in found["models"]]


def model(ref: str | None) -> Steps[ModelVersion]:
    """One version; the default one where no reference is given."""
    if ref is None:
        ref = (yield from _default()).ref
    name, _, version = ref.partition("@")
    found = yield from ask_json(
        Call("GET", f"/models/{_segment(name)}/{_segment(version or 'production')}")
    )
    manifest = found["manifest"]
    return ModelVersion(
        name=manifest["name"],
        version=manifest["version"],
        aliases=found["aliases"],
        classes=manifest.get("classes") or (),
        card=found["card"],
        figures=list(found["figures"]),
        manifest=manifest,
    )


def figure(name: str, ref: str | None) -> Steps[Picture]:
    """A figure that was made when a version was published."""
    version = yield from model(ref)
    path = f"/models/{_segment(version.name)}/{version.version}/figures/{_segment(name)}.png"
    reply = yield from ask(Call("GET", path))
    return Picture(
        content=reply.content,
        media_type="image/png",
        model=version.ref,
        weights_sha256=_weights_sha256(version.manifest),
        request_id=reply.headers.get("x-request-id"),
    )


def promote(name: str, version: int, *, alias: str) -> Steps[dict[str, int]]:
    """Point an alias at a version; all aliases of the model afterwards."""
    path = f"/models/{_segment(name)}/aliases/{_segment(alias)}"
    found = yield from ask_json(Call("PUT", path, json={"version": version}))
    return dict(found["aliases"])


def live() -> Steps[Health]:
    """Whether the process lives."""
    return _health((yield from ask_json(Call("GET", "/healthz", again=False))))


def ready() -> Steps[Health]:
    """Whether the default model is served; raises UnavailableError where it is not."""
    return _health((yield from ask_json(Call("GET", "/readyz", again=False))))


# --- parts -------------------------------------------------------------------------------------


def square(n: int) -> int:
    """Columns where none were asked for: ceil(sqrt(n)), in whole numbers."""
    return math.isqrt(n - 1) + 1 if n > 0 else 1


def as_rows(z: Any) -> list[list[float]]:
    """Latents as rows of numbers; takes lists, one row alone, Encodings and arrays."""
    if isinstance(z, Encodings):
        return z.mu
    rows = z.tolist() if hasattr(z, "tolist") else list(z)
    return [rows] if rows and not isinstance(rows[0], Sequence) else [list(row) for row in rows]


def facts(reply: Reply) -> dict[str, Any]:
    """What every picture says in its headers; raises UnexpectedAnswerError where it does not."""
    headers = reply.headers
    if "x-model" not in headers:
        raise UnexpectedAnswerError("the answer names no model; is this address a zserve?")
    seed = headers.get("x-seed")
    return {
        "content": reply.content,
        "media_type": headers.get("content-type", "").partition(";")[0],
        "model": headers["x-model"],
        "weights_sha256": headers.get("x-weights-sha256", ""),
        "request_id": headers.get("x-request-id"),
        "seed": None if seed is None else int(seed),
        "queue_ms": _milliseconds(headers, "x-queue-time"),
        "inference_ms": _milliseconds(headers, "x-inference-time"),
    }


def _with_numbers(picture: P, call: Call) -> Steps[P]:
    """The same picture with the JSON answer to the same request: same weights, same seed."""
    params = {**call.params, "model": picture.model, "format": "json"}
    if picture.seed is not None:
        params["seed"] = str(picture.seed)
    for only_of_files in ("metadata", "columns", "frame_ms", "loop", "bounce"):
        params.pop(only_of_files, None)
    numbers = yield from ask_json(replace(call, params=params))
    return replace(picture, numbers=numbers)


def _uploads(images: Source | Sequence[Source]) -> list[tuple[str, tuple[str, bytes]]]:
    given = list(images) if isinstance(images, list | tuple) else [cast("Source", images)]
    return [("image", as_file(image, f"image-{i}")) for i, image in enumerate(given, 1)]


def _default() -> Steps[Model]:
    for found in (yield from models()):
        if found.default:
            return found
    raise UnexpectedAnswerError("the service lists no default model; name one: model='mnist'")


def _model(found: Mapping[str, Any]) -> Model:
    channels, height, width = found["image"]
    same = ("name", "version", "aliases", "versions", "default", "latent", "dataset", "classes")
    return Model(
        **{name: found[name] for name in same},
        channels=channels,
        height=height,
        width=width,
        metrics={
            name: Metric(
                value=metric["value"], unit=metric["unit"], protocol=metric.get("protocol", "")
            )
            for name, metric in found["metrics"].items()
        },
        weights_sha256=found["weights_sha256"],
        created_at=datetime.fromisoformat(found["created_at"]),
    )


def _health(found: Mapping[str, Any]) -> Health:
    return Health(
        status=found["status"],
        model=found.get("model"),
        device=found.get("device"),
        degraded=found.get("degraded") or (),
    )


def _weights_sha256(manifest: Mapping[str, Any]) -> str:
    file = manifest.get("files", {}).get("weights.safetensors", {})
    return str(file.get("sha256", ""))


def _milliseconds(headers: Mapping[str, str], name: str) -> float | None:
    text = headers.get(name, "")
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None


def _segment(text: str) -> str:
    """A part of a path: a slash in it must not become another path."""
    return quote(str(text), safe="")
