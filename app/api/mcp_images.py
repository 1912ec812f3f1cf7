"""Decode images in base64, and read manifests and figures of samples, for the tools of `mcp_tools`."""

import base64
import binascii

from app.errors import ParameterError
from model_store.errors import NotFoundError, StoreError
from model_store.spec import Manifest, ModelRef
from model_store.store import Store

_FIGURE = "samples"


def read_manifests(store: Store, default: str) -> list[Manifest]:
    """Return the manifest that each name stands for, that of the default model first."""
    manifests = []
    for name in sorted(store.names(), key=lambda name: (name != default, name)):
        try:
            manifests.append(store.manifest(ModelRef(name=name)))
        except StoreError:
            continue  # GET /models says why
    return manifests


def read_samples(store: Store, ref: ModelRef) -> bytes | None:
    """Return the published figure of samples, or None if the version has none."""
    try:
        return store.figure(ref, _FIGURE)
    except NotFoundError:
        return None


def decode_base64(text: str) -> bytes:
    """Return the bytes of base64 or of a data URL; raises ParameterError."""
    content = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(content.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise no_image(f"{text[:20]!r} is not base64") from error


def no_image(detail: str) -> ParameterError:
    """Return the error for a text that is no image."""
    return ParameterError(
        f"image: {detail}", remedy="send the content of a PNG or JPEG file in base64"
    )
