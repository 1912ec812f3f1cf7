"""Hash the results of exact versions; run as a process with its own environment.

    python -m benchmarks.same_bytes.hashing STORE --executor onnx --threads 1 --images 1000

Prints JSON: model -> kind of result -> SHA-256. Batches have sizes from 1 to 256, so that equal
hashes also show that results do not depend on the batch.
"""

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.sampling import latents, paths, posterior
from model_store.arithmetic.executors import Executor
from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.flow import MakeExecutor
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import Bytes, Floats, Function
from model_store.preprocessing import from_pillow, prepare, to_bytes
from model_store.spec import ModelRef, ModelSpec
from model_store.store import Store, StoredModel

BATCHES = (1, 2, 3, 5, 8, 13, 16, 31, 64, 256)
EXECUTORS = ("numpy", "numpy-float32", "onnx", "torch")
WALK_STEPS = 9

Array = NDArray[Any]
Arrays = Sequence[Array]


def main() -> None:
    """Hash the results of every exact version of a store, and print them as JSON."""
    options = _parser().parse_args()
    store = Store(options.store)
    make = executor_maker(options.executor, options.threads)
    results = {}
    for name in options.models or store.names():
        stored = store.load(ModelRef.parse(name))
        if stored.network is not None:
            model = ExactModel(stored.network, stored.spec, make)
            results[str(stored.manifest.ref)] = hashes(
                stored, model, options.images, options.uploads
            )
    json.dump(results, sys.stdout)


def executor_maker(name: str, threads: int) -> MakeExecutor:
    """Return the function that makes executors of this name."""
    if name == "onnx":
        from model_store.arithmetic.executors.onnx_executor import OnnxExecutor  # noqa: PLC0415

        return lambda function, shape: OnnxExecutor(function, shape, threads)
    if name == "torch":
        import torch  # noqa: PLC0415 - the other executors do not need it

        from model_store.arithmetic.executors.torch_executor import TorchExecutor  # noqa: PLC0415

        torch.set_num_threads(threads)
        return lambda function, _: TorchExecutor(function)
    sums = np.float32 if name == "numpy-float32" else np.float64

    def make(function: Function, _: Sequence[int]) -> Executor:
        return NumpyExecutor(function, sums)

    return make


def hashes(stored: StoredModel, model: ExactModel, images: int, uploads: int) -> dict[str, str]:
    """Return the hash of each kind of result."""
    seeds = latents.consecutive_seeds(0, images)
    u = latents.standard_normal(seeds, stored.spec.latent)
    levels = drawings(stored.spec, uploads)
    encoded = _in_batches(model.encode, levels)
    mu, logvar = encoded
    results: dict[str, Arrays] = {
        "latents of seeds": [u],
        "generated": _in_batches(lambda z: [model.decode(z)], u),
        "prepared uploads": [levels],
        "mu and logvar": encoded,
        "reconstructed": _in_batches(lambda z: [model.decode(z)], mu),
        "nats": [model.log_likelihood(levels, mu), posterior.kl_to_standard_normal(mu, logvar)],
        "walks": _in_batches(lambda z: [model.decode(z)], _walks(mu)),
        "latents of labels": [_labelled(stored, min(images, 200))],
    }
    return {kind: _hash(arrays) for kind, arrays in results.items()}


def drawings(spec: ModelSpec, count: int) -> Bytes:
    """Return uploads, drawn with integers and prepared for a model; grey levels (count, ...)."""
    rows, columns = np.mgrid[0:60, 0:48]
    prepared = []
    for i in range(count):
        offset = (rows - 20 - i % 17) ** 2 * (1 + i % 3) + (columns - 15 - i % 13) ** 2
        ring = np.abs(offset - 90 - 7 * (i % 9)) < 60 + 5 * (i % 4)
        stroke = np.abs(3 * columns - rows - i % 29) < 4
        ink = np.where(ring | stroke, 40 + i % 50, 250 - i % 40).astype(np.uint8)
        shades = [ink, np.roll(ink, i % 3, axis=0), ink] if i % 2 else [ink] * 3
        image = from_pillow(Image.fromarray(np.stack(shades, axis=2)))
        prepared.append(to_bytes(prepare(image, spec)))
    return np.stack(prepared)


def _walks(mu: Floats) -> Floats:
    pairs = itertools.pairwise(mu[:60])
    return np.concatenate([paths.slerp(a, b, WALK_STEPS) for a, b in pairs])


def _labelled(stored: StoredModel, count: int) -> Floats:
    seeds = latents.consecutive_seeds(7, count)
    labels = range(len(stored.class_latents))
    drawn = [latents.class_latents(stored.class_latents, label, seeds, 1.0) for label in labels]
    return np.concatenate(drawn) if drawn else np.empty(0, np.float32)


def _in_batches(function: Callable[[Array], Arrays], rows: Array) -> Arrays:
    parts = [function(rows[start:stop]) for start, stop in _batches(len(rows))]
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _batches(rows: int) -> Iterator[tuple[int, int]]:
    start = 0
    for size in itertools.cycle(BATCHES):
        if start >= rows:
            return
        yield start, min(start + size, rows)
        start += size


def _hash(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--models", nargs="*", help="default: all exact ones")
    parser.add_argument("--executor", choices=EXECUTORS, default="onnx")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, default=1000, help="images generated for each model")
    parser.add_argument("--uploads", type=int, default=100, help="uploads for each model")
    return parser


if __name__ == "__main__":
    main()
