"""Measure how badly the shipped versions reconstruct their test images: typical_errors.json.

    python -m scripts.measure_typical_errors [MODEL ...]

Data sets are read from ZSERVE_DATA_DIR; a version that was trained on a folder is measured with that
folder in ZSERVE_DATA_DIR. Versions that are not measured keep their entries.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from model_store.arithmetic.golden import executor_maker, fastest_installed
from model_store.arithmetic.model import ExactModel
from model_store.spec import ModelRef
from model_store.store import Store, StoredModel
from model_store.typical_errors import FILE, reconstruction_errors
from training.config import Data
from training.data.loading import load
from training.settings import TrainingSettings

_WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
_BATCH = 200


def main() -> None:
    """Measure versions, and write their quantiles."""
    options = _parser().parse_args()
    store = Store(_WEIGHTS)
    entries = json.loads(FILE.read_bytes())
    for name in options.models or store.names():
        stored = store.load(ModelRef.parse(name))
        if stored.network is None:
            continue
        errors = np.sort(_errors(stored))
        entries[stored.manifest.weights_sha256] = {
            "version": str(stored.manifest.ref),
            "images": len(errors),
            "median": round(float(np.quantile(errors, 0.5)), 4),
            "limit": round(float(np.quantile(errors, 0.99)), 4),
            "largest": round(float(errors[-1]), 4),
        }
        print(entries[stored.manifest.weights_sha256])
    ordered = dict(sorted(entries.items(), key=lambda entry: entry[1]["version"]))
    FILE.write_text(json.dumps(ordered, indent=2) + "\n")


def _errors(stored: StoredModel) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the error of each test image of the version's own data set."""
    assert stored.network is not None  # noqa: S101 - checked by the caller
    model = ExactModel(stored.network, stored.spec, executor_maker(fastest_installed()))
    data = Data.model_validate(stored.manifest.training.settings["data"])
    levels = load(data, TrainingSettings().data_dir, stored.spec).test.pixels.numpy()
    parts = []
    for start in range(0, len(levels), _BATCH):
        x = levels[start : start + _BATCH]
        parts.append(reconstruction_errors(x, model.decode(model.encode(x)[0])))
    return np.concatenate(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", help="default: all shipped models")
    return parser


if __name__ == "__main__":
    main()
