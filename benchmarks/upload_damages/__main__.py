"""Count how many photographed digits keep their label under each kind of damage.

    python -m benchmarks.upload_damages --digits 1000

The digits are spread evenly over MNIST's test split. Each is photographed by code with its own seed
(0, damage, digit), prepared as an upload, and classified by the judge. The result is a table in
Markdown; its numbers depend only on the code, the judge and the versions of Pillow and NumPy.
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.upload_damages.photographs import DAMAGES, Bytes, Damage, clean, photograph
from model_store.errors import ImageError
from model_store.preprocessing import from_pillow, prepare, to_bytes
from model_store.spec import MLP, ModelSpec
from training.classifier.model import Judge, judge_images, load_judge
from training.config import Data
from training.data.loading import load
from training.settings import TrainingSettings

SPEC = ModelSpec(network=MLP(), latent=2)
CLEAN = "none"


def main() -> None:
    """Measure each damage, and print a line of the table as soon as it is known."""
    options = _parser().parse_args()
    torch.set_num_threads(1)
    test = load(Data(dataset="mnist"), options.data_dir, SPEC).test
    digits, labels = test.pixels[:, 0].numpy(), test.labels
    assert labels is not None  # noqa: S101 - MNIST has labels
    chosen = np.linspace(0, len(digits) - 1, options.digits).astype(int)
    judge, _ = load_judge("mnist")
    print("| damage | keep the label | refused | ms per image |\n|---|---|---|---|")
    for number, (name, damage) in enumerate({CLEAN: clean, **DAMAGES}.items()):
        if not options.only or name in options.only:
            prepared, refused, seconds = _prepared(digits, chosen, number, damage)
            kept = _labels(judge, prepared) == labels.numpy()[chosen]
            kept &= ~refused
            share, milliseconds = 100 * kept.mean(), 1000 * seconds / len(chosen)
            print(f"| {name} | {share:.1f} % | {refused.sum()} | {milliseconds:.0f} |", flush=True)


def _prepared(
    digits: Bytes, chosen: "np.ndarray[tuple[int], np.dtype[np.int64]]", number: int, damage: Damage
) -> tuple[Bytes, "np.ndarray[tuple[int], np.dtype[np.bool_]]", float]:
    """Return the prepared photographs, which of them were refused, and the CPU time in seconds."""
    images = np.zeros((len(chosen), 28, 28), np.uint8)
    refused = np.zeros(len(chosen), bool)
    seconds = 0.0
    for i, index in enumerate(chosen):
        content = photograph(digits[index], damage, digits, [0, number, int(index)])
        start = time.process_time()
        try:
            image = from_pillow(Image.open(io.BytesIO(content)))
            images[i] = to_bytes(prepare(image, SPEC))[0]
        except ImageError:
            refused[i] = True
        seconds += time.process_time() - start
    return images, refused, seconds


def _labels(judge: Judge, images: Bytes) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    x = torch.from_numpy(images.astype(np.float32) / 255)[:, None]
    return judge_images(judge, x).labels.numpy()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--digits", type=int, default=1000, help="test digits for each damage")
    parser.add_argument("--data-dir", type=Path, default=TrainingSettings().data_dir)
    parser.add_argument("--only", nargs="*", choices=[CLEAN, *DAMAGES], help="default: all damages")
    return parser


if __name__ == "__main__":
    main()
