"""The page in Firefox and in Chromium: its pictures are the service's, bit for bit, and its parts open."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from model_store.spec import ModelRef
from model_store.store import EXACT, SHIPPED, Store
from tests.e2e.server import CHECKOUT, serving

pytestmark = pytest.mark.browsers

DRIVER = CHECKOUT / "build" / "browsers"
VISIT = Path(__file__).with_name("visit.mjs")
BROWSERS = {"firefox": "firefox-esr", "chrome": "chromium"}
ROWS = int(os.environ.get("ZSERVE_TEST_LATENTS", "1000"))
ROWS_AT_ONCE = 200
INDEX = CHECKOUT / "app" / "web" / "index.html"


def exact_versions() -> list[str]:
    """Return every shipped version with exact arithmetic, such as mnist@8."""
    store = Store(SHIPPED)
    refs = [
        ModelRef(name=name, version=version)
        for name in store.names()
        for version in store.versions(name)
    ]
    return [str(ref) for ref in refs if EXACT in store.manifest(ref).files]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("browsers")
    store = shutil.copytree(SHIPPED, folder / "store")
    with serving(store, folder / "server.log") as address:
        yield address


def visit(browser: str, address: str, refs: list[str], parts: list[str]) -> Any:
    """Return what a browser computed and showed (see visit.mjs)."""
    node, path = shutil.which("node"), shutil.which(BROWSERS[browser])
    if node is None or path is None or not (DRIVER / "node_modules").is_dir():
        pytest.skip(f"node, {BROWSERS[browser]} or its driver is missing; make test-page-{browser}")
    task = {
        "driver": str(DRIVER),
        "browser": browser,
        "path": path,
        "address": address,
        "rows": ROWS,
        "refs": refs,
        "parts": parts,
    }
    done = subprocess.run(
        [node, VISIT, json.dumps(task)], capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def pictures_sha256(address: str, ref: str, latent: int) -> str:
    """Return the SHA-256 of the pictures that the service decodes from the latents of visit.mjs."""
    mixed = np.arange(ROWS * latent, dtype=np.uint64) * np.uint64(2654435761)
    z = ((mixed & np.uint64(0xFFFFFFFF)).astype(np.float64) * 2.0**-30 - 2).astype(np.float32)
    digest = hashlib.sha256()
    for rows in np.split(z.reshape(ROWS, latent), range(ROWS_AT_ONCE, ROWS, ROWS_AT_ONCE)):
        query = {"model": ref, "format": "npz", "metadata": "false"}
        answer = httpx.post(
            f"{address}/decode", params=query, json={"z": rows.tolist()}, timeout=300
        )
        digest.update(np.load(io.BytesIO(answer.raise_for_status().content))["images"].tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("browser", BROWSERS)
def test_the_page_decodes_every_exact_version_to_the_bytes_of_the_service(
    browser: str, address: str
) -> None:
    refs = exact_versions()
    assert len(refs) > 5
    result = visit(browser, address, refs, [])
    assert result["errors"] == []
    latent = {ref: Store(SHIPPED).manifest(ModelRef.parse(ref)).spec.latent for ref in refs}
    expected = {
        ref: {"local": True, "reason": None, "sha256": pictures_sha256(address, ref, latent[ref])}
        for ref in refs
    }
    assert result["decoded"] == expected


@pytest.mark.parametrize("browser", BROWSERS)
def test_every_part_of_the_page_opens_without_an_error(browser: str, address: str) -> None:
    parts = re.findall(r'<a href="#(\w+)" data-part=', INDEX.read_text())
    assert len(parts) > 5
    result = visit(browser, address, [], parts)
    assert result["errors"] == []
    assert result["parts"] == dict.fromkeys(parts, 1)
