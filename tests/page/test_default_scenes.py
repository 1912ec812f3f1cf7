"""The views that parts open with were chosen by hand: they show what the part is for."""

import base64
from collections import Counter
from typing import Any

import httpx
import numpy as np
from safetensors.numpy import load

from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store
from tests.page.visitor import Visitor

DEFAULT = "mnist@8"
NEIGHBOURS = 9


def encoded(visitor: Visitor, png: bytes) -> Any:
    """Return mu of an image of the default model, (latent,)."""
    query = f"encode?model={DEFAULT}&preprocess=none"
    answer = httpx.post(f"{visitor.address}/{query}", files={"image": png}).json()
    return np.array(answer["images"][0]["mu"])


def class_of(visitor: Visitor, png: bytes) -> str:
    """Return the class of most of the nearest test images."""
    store = Store(SHIPPED)
    ref = ModelRef.parse(DEFAULT)
    arrays = load(store.encoded_images(ref))
    u = arrays["levels"] * arrays["scale"]
    nearest = np.argsort(np.linalg.norm(u - encoded(visitor, png), axis=1))[:NEIGHBOURS]
    label, _ = Counter(arrays["labels"][nearest].tolist()).most_common(1)[0]
    classes = store.manifest(ref).classes
    assert classes
    return classes[label]


def shown_png(visitor: Visitor, selector: str) -> bytes:
    address = visitor.shown.locator(selector).get_attribute("src") or ""
    return base64.b64decode(address.partition(",")[2])


def test_the_default_walk_is_from_a_4_to_a_9(visitor: Visitor) -> None:
    visitor.open("#interpolate")
    ends = [shown_png(visitor, f".slot:{place}-child img") for place in ("first", "last")]
    assert [class_of(visitor, png) for png in ends] == ["4", "9"]


def test_most_strips_of_the_default_traversal_change_the_image(visitor: Visitor) -> None:
    visitor.open("#traverse")
    visitor.until(
        lambda: all(any(image) for image in visitor.pixels(".strips:first-of-type canvas"))
    )
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
