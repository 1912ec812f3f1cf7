"""Run the app with a tiny model in the test process, and call it over an ASGI transport."""

import functools
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from app.asgi import create_app
from app.settings import Settings
from model_store.directions import Directions
from model_store.encoded_images import EncodedImages, round_latents
from model_store.spec import MLP, Direction, DirectionTable, Flow, ModelSpec, TrainingRecord
from model_store.store import Store
from model_store.vae import VAE, build_vae
from tests.unit.models import a_card, tiny_classes, tiny_description, tiny_weights

Bytes = NDArray[np.uint8]

SPEC = ModelSpec(network=MLP(hidden=(8,)), latent=3)


class Service:
    """A started app; each method call sends one request."""

    def __init__(self, app: FastAPI, portal: BlockingPortal) -> None:
        self.app = app
        self.portal = portal
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://service")

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.portal.call(functools.partial(self.client.request, method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


@contextmanager
def started(settings: Settings, **options: Any) -> Iterator[Service]:
    """Start and stop the service."""
    app = create_app(settings, **options)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(app.router.lifespan_context(app)),
    ):
        yield Service(app, portal)


def publish(root: Path, name: str = "mnist", seed: int = 0, spec: ModelSpec = SPEC) -> None:
    Store(root).publish(
        name,
        tiny_description(spec),
        tiny_weights(seed, spec),
        card=a_card,
        figures={"samples": png(np.zeros((5, 5), np.uint8))},
        encoded_images=encoded(seed + 1, spec.latent),
    )


def encoded(images: int, latent: int) -> EncodedImages:
    """Return made-up latents of test images."""
    u = np.random.default_rng(0).standard_normal((images, latent)).astype(np.float32)
    return round_latents(u, np.arange(images, dtype=np.int32), None)


def publish_labelled(root: Path, name: str, classes: tuple[str, str] = ("Dress", "7")) -> None:
    """Publish a model with two classes."""
    description = tiny_description(SPEC).model_copy(update={"classes": classes})
    Store(root).publish(
        name, description, tiny_weights(5, SPEC), card=a_card, class_latents=tiny_classes()
    )


MOVING_DIRECTIONS = DirectionTable(
    protocol="made up",
    entries=tuple(Direction(name=name) for name in ("slant", "thickness", "class:a, b")),
)
MOVING_STEPS = np.array([[0.5, 0, 0], [0, 1 / 3, -0.25], [1, 1, 1]], np.float32)


def publish_moving(root: Path, name: str, scale: float = 1.0, latent: int = SPEC.latent) -> None:
    """Publish a float version with directions, whose steps are multiplied by `scale`."""
    spec = SPEC.model_copy(update={"latent": latent})
    training = TrainingRecord(preset="tiny", dataset="moving", seed=0, epochs=0)
    changes = {"directions": MOVING_DIRECTIONS, "training": training}
    description = tiny_description(spec).model_copy(update=changes)
    steps = np.zeros((len(MOVING_STEPS), latent), np.float32)
    steps[:, : SPEC.latent] = np.float32(scale) * MOVING_STEPS
    directions = Directions(MOVING_DIRECTIONS.names, steps)
    Store(root).publish(
        name, description, tiny_weights(1, spec), card=a_card, directions=directions
    )


def publish_labelled_before_a_flow(root: Path, name: str) -> VAE:
    """Publish a model with a flow and the classes `Dress` and `7` in the space of q(z | x).

    Returns the model.
    """
    spec = SPEC.model_copy(update={"prior": Flow(couplings=2, hidden=4)})
    weights = tiny_weights(5, spec)
    noise = torch.Generator().manual_seed(0)
    for key, tensor in weights.items():
        if key.startswith("flow."):
            tensor.copy_(0.5 * torch.randn(tensor.shape, generator=noise))
    description = tiny_description(spec).model_copy(update={"classes": ("Dress", "7")})
    classes = replace(tiny_classes(), before_flow=True)
    Store(root).publish(name, description, weights, card=a_card, class_latents=classes)
    return build_vae(spec, weights)


def png(image: Bytes, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def digit(slant: int = 0, kind: str = "PNG") -> bytes:
    """Draw a stroke that looks like a one, dark on light, as an image file."""
    drawing = Image.new("L", (90, 120), 250)
    ImageDraw.Draw(drawing).line([(45 + slant, 20), (45 - slant, 100)], fill=10, width=9)
    return png(np.asarray(drawing), kind)


def pixels(answer: httpx.Response) -> Bytes:
    """Return the pixels of an answer, which must be a PNG."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def parameters(answer: httpx.Response) -> dict[str, Any]:
    """Return the parameters that are stored in a PNG."""
    info = Image.open(io.BytesIO(answer.content)).info
    stored: dict[str, Any] = json.loads(info["parameters"])
    return stored


def tiles(grid: Bytes, side: int = 28, padding: int = 2) -> list[Bytes]:
    """Cut a grid into its images, left to right and top to bottom."""
    step = side + padding
    rows, columns = (grid.shape[0] - padding) // step, (grid.shape[1] - padding) // step
    return [
        grid[padding + r * step :, padding + c * step :][:side, :side]
        for r in range(rows)
        for c in range(columns)
    ]


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Return the problem of an answer, which must be complete and have this status and type."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"/problems/{slug}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return body
