"""The page decodes 1,000 latents of every exact version to the bytes of the service."""

import hashlib
import io
import os
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser

from model_store.spec import ModelRef
from model_store.store import EXACT, SHIPPED, Store

pytestmark = pytest.mark.every_version

ROWS = int(os.environ.get("ZSERVE_TEST_LATENTS", "1000"))
ROWS_AT_ONCE = 200
TIMEOUT_S = 300

_DECODED = """async ([ref, rows]) => {
    const { openCatalogue } = await import("/static/js/models.js");
    const { openDecoder } = await import("/static/js/decoding.js");
    const { sha256 } = await import("/static/js/exact/sha256.js");
    const model = await (await openCatalogue()).version(ref);
    const decoder = await (await openDecoder(model)).ready;
    const number = (i) => (Math.imul(i, 2654435761) >>> 0) / 2 ** 30 - 2;
    const z = Array.from({ length: rows }, (_, row) =>
        Array.from({ length: model.latent }, (_, d) => number(row * model.latent + d)));
    const pictures = await decoder.decode(z);
    const bytes = new Uint8Array(pictures.length * pictures[0].length);
    pictures.forEach((picture, i) => bytes.set(picture, i * picture.length));
    return { local: decoder.local, reason: decoder.reason, sha256: sha256(bytes) };
}"""
"""Decodes latents that are made from integers, with the page's own decoder."""


def exact_versions() -> list[str]:
    """Return every shipped version with exact arithmetic, such as mnist@11."""
    store = Store(SHIPPED)
    refs = [
        ModelRef(name=name, version=version)
        for name in store.names()
        for version in store.versions(name)
    ]
    return [str(ref) for ref in refs if EXACT in store.manifest(ref).files]


def latents(dimensions: int) -> NDArray[np.float32]:
    """Return the latents of `_DECODED`, (ROWS, dimensions)."""
    mixed = np.arange(ROWS * dimensions, dtype=np.uint64) * np.uint64(2654435761)
    numbers = (mixed & np.uint64(0xFFFFFFFF)).astype(np.float64) * 2.0**-30 - 2
    return numbers.astype(np.float32).reshape(ROWS, dimensions)


def pictures_sha256(address: str, ref: str, z: NDArray[np.float32]) -> str:
    """Return the SHA-256 of the pictures that the service decodes."""
    digest = hashlib.sha256()
    query = {"model": ref, "format": "npz", "metadata": "false"}
    for rows in np.split(z, range(ROWS_AT_ONCE, ROWS, ROWS_AT_ONCE)):
        body = {"z": rows.tolist()}
        answer = httpx.post(f"{address}/decode", params=query, json=body, timeout=TIMEOUT_S)
        digest.update(np.load(io.BytesIO(answer.raise_for_status().content))["images"].tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("ref", exact_versions())
def test_the_page_decodes_to_the_bytes_of_the_service(
    browser: Browser, address: str, ref: str
) -> None:
    page = browser.new_page()
    page.goto(address)
    decoded: Any = page.evaluate(_DECODED, [ref, ROWS])
    page.close()
    z = latents(Store(SHIPPED).manifest(ModelRef.parse(ref)).spec.latent)
    assert decoded == {
        "local": True,
        "reason": None,
        "sha256": pictures_sha256(address, ref, z),
    }


def test_there_are_exact_versions() -> None:
    assert len(exact_versions()) > 5
