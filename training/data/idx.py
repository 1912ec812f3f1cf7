"""Read MNIST and Fashion-MNIST from their IDX files by torchvision."""

from pathlib import Path

from torchvision import datasets  # type: ignore[import-untyped]

from model_store.spec import ImageShape
from training.config import Data
from training.data.images import Images, Splits
from training.errors import DataError, DataNotFoundError, SettingError

_READERS = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}
_TITLES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}
_CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": tuple(datasets.FashionMNIST.classes),
}


def load(data: Data, data_dir: Path, image: ImageShape, *, download: bool = False) -> Splits:
    """Read both splits; raises DataNotFoundError, DataError, SettingError."""
    train = _read(data.dataset, data_dir, train=True, download=download)
    test = _read(data.dataset, data_dir, train=False, download=download)
    for images in (train, test):
        shape = tuple(images.pixels.shape[1:])
        if shape != image.shape:
            raise SettingError(
                f"model.image is {image.shape}, the images of {data.dataset} in {data_dir} "
                f"are {shape} (channels, height, width)"
            )
    title, classes = _TITLES[data.dataset], _CLASSES[data.dataset]
    return Splits(title, train.first(data.train_images), test, classes)


def load_test(dataset: str, data_dir: Path) -> Images:
    """Read the test split of `mnist` or `fashion-mnist`; raises DataNotFoundError, DataError."""
    return _read(dataset, data_dir, train=False, download=False)


def _read(dataset: str, data_dir: Path, *, train: bool, download: bool) -> Images:
    reader = _READERS[dataset]
    folder = data_dir / reader.__name__ / "raw"
    try:
        split = reader(str(data_dir), train=train, download=download)
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}") from error
    except RuntimeError as error:
        raise _explain(error, dataset, folder, download=download) from error
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise _damaged(folder) from error
    pixels, labels = split.data, split.targets
    if len(pixels) == 0:
        raise DataError(f"the files in {folder} contain no images")
    if len(labels) != len(pixels) or labels.max() >= len(_CLASSES[dataset]):
        raise _damaged(folder)
    return Images(pixels.unsqueeze(1), labels)


def _explain(
    error: RuntimeError, dataset: str, folder: Path, *, download: bool
) -> DataError | DataNotFoundError:
    """Translate torchvision's RuntimeError: missing files, failed downloads, short files."""
    reason = str(error).splitlines()[0]
    if reason.startswith("Dataset not found"):
        return DataNotFoundError(
            f"no {dataset} in {folder}; put its IDX files there, set --data-dir or "
            "ZSERVE_DATA_DIR to their folder, or add --download to `train`"
        )
    if download and "download" in reason:
        cause = " ".join(str(error).split())[:300]
        return DataError(
            f"cannot download {dataset} into {folder}: {cause}; put its IDX files there, or set "
            "--data-dir or ZSERVE_DATA_DIR to their folder"
        )
    return _damaged(folder)


def _damaged(folder: Path) -> DataError:
    return DataError(
        f"the files in {folder} are not IDX images and labels; delete them and download them again"
    )
