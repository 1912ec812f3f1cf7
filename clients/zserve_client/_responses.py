"""The replies of the service, and their conversion to results and exceptions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from zserve_client._results import (
    CompressedImages,
    DecompressedImages,
    Encoding,
    Encodings,
    Health,
    ImageFile,
    Metric,
    Model,
    ModelVersion,
    SampleQuality,
    Score,
    Scores,
)
from zserve_client._retry import retry_after_s
from zserve_client.errors import LimitError, UnexpectedAnswerError, problem_error


@dataclass(frozen=True)
class Reply:
    """One HTTP reply.

    Attributes:
        path: Path of the request, for messages.
        headers: Header values by lower-case name.
        content: Body; empty if it was streamed to a file.
    """

    path: str
    status: int
    headers: Mapping[str, str]
    content: bytes


def check(reply: Reply) -> Reply:
    """Return the reply, or raise ProblemError if its status is an error."""
    if reply.status >= 400:
        raise problem_error(_problem(reply), reply.status, retry_after_s(reply.headers))
    return reply


def smaller_count(reply: Reply, count: int) -> int | None:
    """Return how many images a request may have if the service refused `count` of them, else None.

    Raises ProblemError for any other error of the reply.
    """
    try:
        check(reply)
    except LimitError as error:
        if error.limit is None or not 1 <= error.limit < count:
            raise
        return int(error.limit)
    return None


def _problem(reply: Reply) -> Mapping[str, Any]:
    """Return the problem document; for the error page of a proxy, a problem with its text."""
    try:
        problem = json.loads(reply.content)
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    text = " ".join(reply.content.decode(errors="replace").split())[:200]
    return {"detail": f"HTTP status {reply.status}: {text}" if text else ""}


def read_json(reply: Reply) -> Any:
    """Return the JSON document of a reply; raises UnexpectedAnswerError if it has none."""
    try:
        return json.loads(reply.content)
    except ValueError as error:
        media_type = reply.headers.get("content-type", "nothing")
        raise UnexpectedAnswerError(
            f"{reply.path} was answered with {media_type!r} "
            "instead of JSON; is this the address of a zserve service?"
        ) from error


def read_image(reply: Reply) -> ImageFile:
    """Return the image and the values of its headers; raises UnexpectedAnswerError."""
    headers = reply.headers
    if "x-model" not in headers:
        raise UnexpectedAnswerError(
            "the answer names no model; is this the address of a zserve service?"
        )
    seed = headers.get("x-seed")
    return ImageFile(
        content=reply.content,
        media_type=headers.get("content-type", "").partition(";")[0],
        model=headers["x-model"],
        weights_sha256=headers.get("x-weights-sha256", ""),
        request_id=headers.get("x-request-id"),
        seed=None if seed is None else int(seed),
        queue_ms=_milliseconds(headers, "x-queue-time"),
        inference_ms=_milliseconds(headers, "x-inference-time"),
    )


def read_compressed(reply: Reply) -> CompressedImages:
    """Return a compressed file and the values of its headers; raises UnexpectedAnswerError."""
    image = read_image(reply)
    return CompressedImages(
        content=image.content,
        model=image.model,
        weights_sha256=image.weights_sha256,
        bits_per_dimension=float(reply.headers["x-bits-per-dimension"]),
        request_id=image.request_id,
    )


def read_decompressed(reply: Reply) -> DecompressedImages:
    """Return the images of a compressed file; raises UnexpectedAnswerError."""
    image = read_image(reply)
    return DecompressedImages(
        content=image.content,
        model=image.model,
        weights_sha256=image.weights_sha256,
        request_id=image.request_id,
    )


def _milliseconds(headers: Mapping[str, str], name: str) -> float | None:
    text = headers.get(name, "")
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None


def square_columns(n: int) -> int:
    """Return the service's default number of columns for n images: ceil(sqrt(n))."""
    return math.isqrt(n - 1) + 1 if n > 0 else 1


def read_encodings(reply: Reply) -> Encodings:
    """Return the encoding of each upload."""
    document = read_json(reply)
    return Encodings(
        model=document["model"],
        weights_sha256=document["weights_sha256"],
        images=[
            Encoding(mu=image["mu"], logvar=image["logvar"], kl_nats=image["kl_nats"])
            for image in document["images"]
        ],
    )


def read_scores(reply: Reply) -> Scores:
    """Return the score of each upload."""
    document = read_json(reply)
    names = [each.name for each in fields(Score)]
    return Scores(
        model=document["model"],
        weights_sha256=document["weights_sha256"],
        seed=document["seed"],
        draws=document["draws"],
        images=[Score(**{name: image[name] for name in names}) for image in document["images"]],
        notice=document.get("notice"),
    )


def read_models(reply: Reply) -> list[Model]:
    """Return every model of the service."""
    return [_model(entry) for entry in read_json(reply)["models"]]


def _model(entry: Mapping[str, Any]) -> Model:
    channels, height, width = entry["image"]
    metrics = {
        name: Metric(
            value=metric["value"], unit=metric["unit"], protocol=metric.get("protocol", "")
        )
        for name, metric in entry["metrics"].items()
    }
    return Model(
        name=entry["name"],
        version=entry["version"],
        aliases=entry["aliases"],
        versions=entry["versions"],
        default=entry["default"],
        channels=channels,
        height=height,
        width=width,
        latent=entry["latent"],
        dataset=entry["dataset"],
        classes=entry["classes"],
        metrics=metrics,
        weights_sha256=entry["weights_sha256"],
        created_at=datetime.fromisoformat(entry["created_at"]),
        directions=entry.get("directions", ()),
        sample_quality=_sample_quality(entry.get("sample_quality")),
        best_samples=entry.get("best_samples", False),
    )


def _sample_quality(entry: Mapping[str, Any] | None) -> SampleQuality | None:
    """Return the quality of samples; services before this field have none."""
    if entry is None:
        return None
    return SampleQuality(
        dataset=entry["dataset"],
        recognisable=entry["recognisable"],
        frechet_distance=entry["frechet_distance"],
    )


def default_model(models: Sequence[Model]) -> Model:
    """Return the model that requests without `model` use; raises UnexpectedAnswerError."""
    for model in models:
        if model.default:
            return model
    raise UnexpectedAnswerError("the service lists no default model; name one: model='mnist'")


def read_version(reply: Reply) -> ModelVersion:
    """Return a version of a model."""
    document = read_json(reply)
    manifest = document["manifest"]
    return ModelVersion(
        name=manifest["name"],
        version=manifest["version"],
        aliases=document["aliases"],
        classes=manifest.get("classes") or (),
        card=document["card"],
        figures=list(document["figures"]),
        manifest=manifest,
    )


def read_figure(reply: Reply, version: ModelVersion) -> ImageFile:
    """Return a figure of a version."""
    files = version.manifest.get("files", {})
    weights = files.get("exact.safetensors") or files.get("weights.safetensors", {})
    return ImageFile(
        content=reply.content,
        media_type="image/png",
        model=version.ref,
        weights_sha256=str(weights.get("sha256", "")),
        request_id=reply.headers.get("x-request-id"),
    )


def read_health(reply: Reply) -> Health:
    """Return the state of the service."""
    document = read_json(reply)
    return Health(
        status=document["status"],
        model=document.get("model"),
        device=document.get("device"),
        degraded=document.get("degraded") or (),
    )
