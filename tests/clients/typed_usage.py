"""Typical calls with the types that a type checker must infer; test_typing.py runs mypy on it.

A `type: ignore` marks a wrong call. mypy also reports an ignore that is not needed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

import zserve_client as z


def check_client(client: z.Client) -> None:
    """Check the types of the synchronous client."""
    with client as entered:
        assert_type(entered, z.Client)
    grid = client.generate(4, seed=1, label="3")
    assert_type(grid, z.Grid)
    assert_type(grid.image, Image)
    assert_type(grid.array, NDArray[np.uint8])
    assert_type(grid.seeds, list[int] | None)
    assert_type(grid.numbers, Mapping[str, Any] | None)
    assert_type(grid.save("grid.png"), Path)
    assert_type(client.augment(Path("digit.png")), z.Grid)
    assert_type(client.reconstruct([b"png", grid.image, grid.array]), z.Reconstructions)
    assert_type(client.interpolate("a.png", 7, format="gif"), z.Interpolation)
    assert_type(client.traverse(7, dims=(0, 1)).dims, list[int])
    encodings = client.encode("digit.png", preprocess="none")
    assert_type(encodings.images, Sequence[z.Encoding])
    assert_type(encodings.array, NDArray[np.float32])
    assert_type(client.decode(encodings), z.Grid)
    compressed = client.compress(["a.png", b"png"], model="mnist")
    assert_type(compressed, z.CompressedImages)
    assert_type(compressed.save("two.zsi"), Path)
    assert_type(client.decompress(compressed).array, NDArray[np.uint8])
    assert_type(client.download("samples.zip", 100).path, Path)
    assert_type(client.export("set", 100, labels=["3", 8], progress=print), z.Export)
    assert_type(client.models(), list[z.Model])
    assert_type(client.models()[0].metrics, Mapping[str, z.Metric])
    assert_type(client.model().card, str)
    assert_type(client.figure("samples"), z.ImageFile)
    assert_type(client.promote("mnist", 2), dict[str, int])
    assert_type(client.wait_until_ready(), z.Health)

    client.generate("4")  # type: ignore[arg-type]
    client.generate(4, 7)  # type: ignore[call-arg]
    client.generate(sed=7)  # type: ignore[call-arg]
    client.interpolate(1, 2, format="mp4")  # type: ignore[arg-type]
    client.reconstruct(3.5)  # type: ignore[arg-type]


async def check_async_client(client: z.AsyncClient) -> None:
    """Check the types of the asynchronous client."""
    async with client as entered:
        assert_type(entered, z.AsyncClient)
    assert_type(await client.generate(4, seed=1), z.Grid)
    assert_type(await client.encode("digit.png"), z.Encodings)
    assert_type(await client.decompress("two.zsi"), z.DecompressedImages)
    assert_type(await client.export("set", 100), z.Export)
    assert_type(await client.models(), list[z.Model])
    _ = client.generate(4).image  # type: ignore[attr-defined]


def check_errors(error: z.ProblemError) -> None:
    """Check the types of the fields of a problem."""
    assert_type(error.limit, float | None)
    assert_type(error.retry_after_s, float | None)
