"""decoding.js: the page's own decoder, and the service as its fallback."""

import io
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.e2e.server import serving
from tests.page.visitor import Visitor
from tests.unit.exact_versions import publish_exact, tamper_golden_hash

_OPENED = """async ([ref, latents]) => {
    const { openCatalogue } = await import("/static/js/models.js");
    const { openDecoder } = await import("/static/js/decoding.js");
    const model = await (await openCatalogue()).version(ref);
    const decoder = await (await openDecoder(model)).ready;
    const pictures = await decoder.decode(latents);
    const { mu, logvar } = await decoder.encode(pictures[0]);
    return {
        local: decoder.local, reason: decoder.reason,
        pictures: pictures.map((picture) => Array.from(picture)), mu, logvar,
        same: decoder === await openDecoder(model),
    };
}"""


def latents_of(address: str, ref: str, n: int) -> Any:
    """Return the latents of n seeds, (n, latent)."""
    query: dict[str, str | int] = {"model": ref, "n": n, "seed": 3, "format": "npz"}
    content = (
        httpx.post(f"{address}/generate", params=query, timeout=180).raise_for_status().content
    )
    return np.load(io.BytesIO(content))["z"]


def service_pictures(address: str, ref: str, latents: Any) -> Any:
    """Return the pictures of /decode, (n, height * width * channels)."""
    query = {"model": ref, "format": "npz"}
    body = {"z": latents.tolist()}
    content = (
        httpx.post(f"{address}/decode", params=query, json=body, timeout=180)
        .raise_for_status()
        .content
    )
    return np.load(io.BytesIO(content))["images"].reshape(len(latents), -1)


def service_encoding(address: str, ref: str, picture: Any) -> Any:
    """Return the answer of /encode for one picture, (height, width) or (height, width, 3)."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    query = {"model": ref, "preprocess": "none", "format": "json"}
    files = {"image": file.getvalue()}
    return (
        httpx.post(f"{address}/encode", params=query, files=files, timeout=180)
        .raise_for_status()
        .json()
    )


@pytest.mark.parametrize("ref", ["zcolour@1", "lab@4", "mnist@11"])
def test_a_decoder_gives_the_pictures_and_posteriors_of_the_service(
    visitor: Visitor, address: str, ref: str
) -> None:
    visitor.open()
    latents = latents_of(address, ref, 70)
    opened = visitor.page.evaluate(_OPENED, [ref, latents.tolist()])
    expected = service_pictures(address, ref, latents)
    assert opened["same"]
    assert opened["local"] == (ref != "zcolour@1")
    assert ("floating-point" in (opened["reason"] or "")) == (ref == "zcolour@1")
    np.testing.assert_array_equal(np.array(opened["pictures"]), expected)
    shape = (20, 24, 3) if ref == "zcolour@1" else (28, 28)
    answer = service_encoding(address, ref, expected[0].astype(np.uint8).reshape(shape))
    for name in ("mu", "logvar"):
        np.testing.assert_array_equal(
            np.array(opened[name], np.float32), np.array(answer["images"][0][name], np.float32)
        )


def test_a_decoder_whose_code_did_not_arrive_is_loaded_when_it_is_needed_again(
    visitor: Visitor, address: str
) -> None:
    visitor.open("#model")
    latents = latents_of(address, "lab@4", 3).tolist()
    pattern = re.compile(r"/js/exact/worker\.js$")
    visitor.page.route(pattern, lambda route: route.abort())
    opened = visitor.page.evaluate(_OPENED, ["lab@4", latents])
    assert (opened["local"], opened["reason"]) == (
        False,
        "The decoder of the page could not be loaded.",
    )
    visitor.page.unroute(pattern)
    opened = visitor.page.evaluate(_OPENED, ["lab@4", latents])
    assert (opened["local"], opened["reason"]) == (True, None)
    visitor.errors.clear()


def test_a_version_that_the_browser_computes_otherwise_is_decoded_by_the_service(
    browser: Browser, tmp_path: Path
) -> None:
    publish_exact(tmp_path / "store")
    tamper_golden_hash(tmp_path / "store", function="decode")
    with serving(tmp_path / "store", tmp_path / "log", ZSERVE_MODEL="exact") as address:
        page = browser.new_context().new_page()
        page.goto(address)
        latents = latents_of(address, "exact@1", 3)
        opened = page.evaluate(_OPENED, ["exact@1", latents.tolist()])
        expected = service_pictures(address, "exact@1", latents)
        page.context.close()
    assert not opened["local"]
    assert (
        "computes something else than was published for this version (decode)" in opened["reason"]
    )
    np.testing.assert_array_equal(np.array(opened["pictures"]), expected)
