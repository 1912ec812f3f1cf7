"""Data sets, read once into memory as tensors."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torchvision import datasets  # type: ignore[import-untyped]

from model_store.spec import ModelSpec
from training.config import Data
from training.errors import DataError, DataNotFoundError, SettingError

_CLASSES = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}
_TITLES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}
_LABELS = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": tuple(datasets.FashionMNIST.classes),
}


@dataclass(frozen=True)
class Images:
    """One split: pixels (images, channels, height, width), uint8 as in the files.

    Bytes, and not floats in [0, 1]: a fourth of the memory, and converting a batch costs less
    than gathering four times as much.
    """

    pixels: Tensor
    labels: Tensor | None = None
    """(images,) int64, places in `Splits.classes`; None where the data set has no labels."""

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, index: Tensor) -> Tensor:
        """The images at these places; pixels in [0, 1], float32, as ToTensor gives them."""
        return as_floats(self.pixels.index_select(0, index))

    def to(self, device: torch.device) -> "Images":
        """The same images on another device."""
        labels = None if self.labels is None else self.labels.to(device)
        return Images(self.pixels.to(device), labels)

    def first(self, images: int | None) -> "Images":
        """Only the first so many; all where None."""
        return Images(self.pixels[:images], None if self.labels is None else self.labels[:images])

    def without_first(self, images: int) -> "Images":
        """All but the first so many."""
        return Images(self.pixels[images:], None if self.labels is None else self.labels[images:])

    def shuffled(self, seed: int) -> "Images":
        """In a random order, the same for the same seed."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return Images(self.pixels[order], None if self.labels is None else self.labels[order])


def as_floats(pixels: Tensor) -> Tensor:
    """Bytes -> float32 in [0, 1], as ToTensor makes them."""
    return pixels.float().div_(255)


@dataclass(frozen=True)
class Splits:
    """A data set: what is learnt from, and what is measured on."""

    title: str
    train: Images
    test: Images
    classes: tuple[str, ...] | None = None
    """Names of the labels 0, 1, ...; None where the data set has no labels."""
    notices: tuple[str, ...] = ()
    """What a person should know of the reading, such as files that were skipped."""


def load(data: Data, data_dir: Path, spec: ModelSpec, *, download: bool = False) -> Splits:
    """Return both splits of a data set, in the form that the model takes.

    Raises DataNotFoundError, DataError, SettingError.
    """
    if data.dataset == "folder":
        from training.data import image_folder  # noqa: PLC0415 - it builds on this module

        return image_folder.load(data, Path(data.folder) if data.folder else data_dir, spec)
    train = _read(data.dataset, data_dir, train=True, download=download)
    test = _read(data.dataset, data_dir, train=False, download=download)
    for images in (train, test):
        found = tuple(images.pixels.shape[1:])
        if found != spec.image.shape:
            raise SettingError(
                f"model.image is {spec.image.shape}, the images of {data.dataset} in {data_dir} "
                f"are {found} (channels, height, width)"
            )
    title, classes = _TITLES[data.dataset], _LABELS[data.dataset]
    return Splits(title, train.first(data.train_images), test, classes)


def sha256(splits: Splits) -> str:
    """The identity of the pixels of both splits, in their order."""
    digest = hashlib.sha256()
    for images in (splits.train, splits.test):
        digest.update(str(tuple(images.pixels.shape)).encode())
        digest.update(memoryview(images.pixels.contiguous().numpy()))  # type: ignore[arg-type]
    return digest.hexdigest()


def _read(dataset: str, data_dir: Path, *, train: bool, download: bool) -> Images:
    kind = _CLASSES[dataset]
    folder = data_dir / kind.__name__ / "raw"
    try:
        split = kind(str(data_dir), train=train, download=download)
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}") from error
    except RuntimeError as error:
        raise _explain(error, dataset, folder, download=download) from error
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise _damaged(folder) from error
    pixels, labels = split.data, split.targets
    if len(pixels) == 0:
        raise DataError(f"the files in {folder} hold no images")
    if len(labels) != len(pixels) or labels.max() >= len(_LABELS[dataset]):
        raise _damaged(folder)
    return Images(pixels.unsqueeze(1), labels)


def _explain(
    error: RuntimeError, dataset: str, folder: Path, *, download: bool
) -> DataError | DataNotFoundError:
    """torchvision raises one type for missing files, failed downloads and short files."""
    reason = str(error).splitlines()[0]
    if reason.startswith("Dataset not found"):
        return DataNotFoundError(
            f"no {dataset} in {folder}; put its IDX files there, name their folder by --data-dir "
            "or ZSERVE_DATA_DIR, or let --download fetch them"
        )
    if download and "download" in reason:
        return DataError(f"cannot download {dataset} into {folder}: {reason}")
    return _damaged(folder)


def _damaged(folder: Path) -> DataError:
    return DataError(
        f"the files in {folder} are not IDX images and labels; delete them and fetch them anew"
    )
