"""Check that a seed gives the same bytes in any batch, from any worker, and after a restart."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from model_store.store import SHIPPED
from tests.e2e.server import serving

CLIENTS = 16
SEEDS = 1000


def images_by_seed(url: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, bytes]]:
    """Request each (seed, n) in turn; return the seed and the pixels of every image."""
    images: list[tuple[int, bytes]] = []
    with httpx.Client(base_url=url, timeout=60) as client:
        for first_seed, n in spans:
            answer = client.get(f"/generate?format=npz&metadata=false&seed={first_seed}&n={n}")
            assert answer.status_code == 200, answer.text
            with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
                pairs = zip(arrays["seeds"], arrays["images"], strict=True)
                images += [(int(seed), image.tobytes()) for seed, image in pairs]
    return images


@pytest.mark.parametrize(
    "requests", [400, pytest.param(10_000, marks=pytest.mark.slow)], ids=["some", "10,000"]
)
def test_no_byte_differs_between_batches_workers_and_restarts(
    tmp_path: Path, requests: int
) -> None:
    """Requests for 1 to 64 images, 16 at a time, by two workers, half of them after a restart."""
    random = np.random.default_rng(0)
    pixels: dict[int, bytes] = {}
    compared = 0
    variables = {"ZSERVE_WORKERS": "2", "ZSERVE_DEVICE": "cpu", "ZSERVE_MODEL": "mnist"}
    variables["ZSERVE_TARGET_WAIT_S"] = "60"  # a slow machine shall not refuse
    for start in ("first", "second"):
        with (
            serving(SHIPPED, tmp_path / start, **variables) as url,
            ThreadPoolExecutor(CLIENTS) as clients,
        ):
            spans = [
                [
                    (int(random.integers(SEEDS)), int(random.integers(1, 65)))
                    for _ in range(requests // 2 // CLIENTS)
                ]
                for _ in range(CLIENTS)
            ]
            for images in clients.map(images_by_seed, [url] * CLIENTS, spans):
                for seed, image in images:
                    assert pixels.setdefault(seed, image) == image, f"seed {seed}"
                    compared += 1
    assert compared > 10 * requests
