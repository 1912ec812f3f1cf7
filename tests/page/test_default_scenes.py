"""The views that parts open with were chosen by hand: they show what the part is for."""

import base64
import io
from collections import Counter
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load

from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store
from tests.page.visitor import Visitor

DEFAULT = "mnist@11"
NEIGHBOURS = 5


@pytest.fixture(scope="module")
def labelled(address: str) -> tuple[Any, list[str]]:
    """Return 500 images that the default model makes of published latents, flat, and their classes."""
    store, ref = Store(SHIPPED), ModelRef.parse(DEFAULT)
    arrays = load(store.file(ref, "encoded_images.safetensors"))
    u = (arrays["levels"] * arrays["scale"])[::4]
    images = []
    for rows in np.array_split(u, 5):
        query = f"decode?model={DEFAULT}&format=npz"
        answer = httpx.post(f"{address}/{query}", json={"z": rows.tolist()}, timeout=60)
        images.append(np.load(io.BytesIO(answer.raise_for_status().content))["images"])
    classes = store.manifest(ref).classes
    assert classes
    names = [classes[label] for label in arrays["labels"][::4]]
    return np.concatenate(images).reshape(len(u), -1).astype(float), names


def class_of(png: bytes, labelled: tuple[Any, list[str]]) -> str:
    """Return the class of most of the images that look most like this one."""
    images, names = labelled
    with Image.open(io.BytesIO(png)) as picture:
        levels = np.asarray(picture.convert("L")).reshape(-1).astype(float)
    nearest = np.argsort(np.linalg.norm(images - levels, axis=1))[:NEIGHBOURS]
    counts: Counter[str] = Counter(names[i] for i in nearest)
    return counts.most_common(1)[0][0]


def shown_png(visitor: Visitor, selector: str) -> bytes:
    address = visitor.shown.locator(selector).get_attribute("src") or ""
    return base64.b64decode(address.partition(",")[2])


def test_the_default_walk_is_from_a_4_to_a_9(
    visitor: Visitor, labelled: tuple[Any, list[str]]
) -> None:
    visitor.open("#interpolate")
    ends = [shown_png(visitor, f".slot:{place}-child img") for place in ("first", "last")]
    assert [class_of(png, labelled) for png in ends] == ["4", "9"]


def test_most_strips_of_the_default_traversal_change_the_image(visitor: Visitor) -> None:
    visitor.open("#traverse")
    strips = visitor.shown.locator(".strips").first.locator(".strip")
    changes = []
    for i in range(strips.count()):
        canvases = strips.nth(i).locator("canvas")
        first, last = (
            np.array(
                canvas.evaluate(
                    "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
                )
            )[0::4]
            for canvas in (canvases.first, canvases.last)
        )
        changes.append(np.abs(first.astype(int) - last).mean())
    assert np.mean(np.array(changes) > 8) > 0.5


def test_the_default_plane_between_classes_is_from_4_to_9(visitor: Visitor) -> None:
    visitor.open("#map?plane=classes")
    ends = [visitor.shown.get_by_label(f"{side} class", exact=True) for side in ("From", "To")]
    assert [end.input_value() for end in ends] == ["4", "9"]
