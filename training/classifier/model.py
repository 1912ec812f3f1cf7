"""The judge: a small classifier of real images that is used to measure generated images.

For each image it returns the probability of every class; the output of its penultimate layer
serves as features on which sets of images are compared (evaluation/sample_quality.py). There is
one judge per data set, stored beside this module with the results on its test split:

    weights/<dataset>.safetensors    float16; written by classifier/train.py
    weights/<dataset>.json           the JudgeCard: accuracy, protocol, SHA-256
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

import safetensors.torch
import torch
from pydantic import Field, NonNegativeInt, PositiveInt, StringConstraints, ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from model_store.spec import Frozen, ImageShape, TrainingRecord
from model_store.vae import TrainedVAE
from training.errors import JudgeError

JUDGES = Path(__file__).parent / "weights"
SURE_PROBABILITY = 0.95
"""Probability of the likeliest class from which on the judge counts as sure of it."""

Share = Annotated[float, Field(ge=0, le=1)]


class JudgeCard(Frozen):
    """Measured quality of a judge, and the checksum of the measured weights."""

    dataset: str
    classes: PositiveInt = 10
    class_names: tuple[str, ...] = ()
    """Names of the classes in the order of the outputs; empty if only the data set states them."""
    image: ImageShape = ImageShape()
    width: PositiveInt = 32
    """Channels of the first convolution; a quarter of the number of features."""
    accuracy: Share
    """Share of the test split that gets its true label."""
    sure_share: Share
    """Share of the test split whose likeliest class has at least SURE_PROBABILITY."""
    sure_accuracy: Share
    """Share of the sure images (see `sure_share`) that get their true label."""
    protocol: str
    seed: NonNegativeInt
    epochs: PositiveInt
    parameters: PositiveInt
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class Judge(nn.Module):
    """Five convolutions with batch norm, averaged over the image, and one linear layer.

    The input of the linear layer has 4 * width features.
    """

    def __init__(self, classes: int = 10, width: int = 32) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *_convolution(1, width, kernel_size=5, stride=2),
            *_convolution(width, width),
            *_convolution(width, 2 * width, stride=2),
            *_convolution(2 * width, 2 * width),
            *_convolution(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(4 * width, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the features of x (batch, 1, h, w), grey in [0, 1]; (batch, features), >= 0."""
        return cast(Tensor, self.trunk(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of x (batch, 1, h, w), grey in [0, 1]; (batch, classes)."""
        return cast(Tensor, self.head(self.features(x)))


@dataclass(frozen=True)
class Predictions:
    """A judge's output for images: features (images, features), probabilities (images, classes)."""

    features: Tensor
    probabilities: Tensor

    def __len__(self) -> int:
        return len(self.features)

    @property
    def labels(self) -> Tensor:
        """The likeliest class of each image; (images,), int64."""
        return self.probabilities.argmax(dim=1)

    @property
    def confidence(self) -> Tensor:
        """The probability of the likeliest class; (images,)."""
        return self.probabilities.amax(dim=1)

    def __getitem__(self, index: Tensor | slice) -> "Predictions":
        return Predictions(self.features[index], self.probabilities[index])


@torch.inference_mode()
def judge_images(judge: Judge, x: Tensor, batch_size: int = 500) -> Predictions:
    """Classify x (images, 1, h, w), grey in [0, 1], in batches, on the judge's device."""
    device = judge.head.weight.device
    features = torch.cat([judge.features(part.to(device)) for part in torch.split(x, batch_size)])
    return Predictions(features, judge.head(features).softmax(dim=1))


def load_judge(dataset: str, folder: Path = JUDGES) -> tuple[Judge, JudgeCard]:
    """Load a judge, on the CPU in float32 and evaluation mode, and its card; raises JudgeError."""
    card = _read_card(dataset, folder)
    path = folder / f"{dataset}.safetensors"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JudgeError(f"judge {dataset}: cannot read {path}: {error.strerror}") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != card.sha256:
        raise JudgeError(
            f"judge {dataset}: {path.name} has SHA-256 {sha256[:12]}..., its card says "
            f"{card.sha256[:12]}...; take both files from one commit, or train the judge again"
        )
    return _build(card, content), card


def judge_for(
    record: TrainingRecord, vae: TrainedVAE, classes: tuple[str, ...] | None = None
) -> Judge | None:
    """Load the judge that a VAE's preset names, or that of its data set, on the VAE's device.

    `classes` are those of the data set. Returns None if no judge is named and none fits. Raises
    JudgeError if the judge that is named is missing, or takes other images or classes.
    """
    data = record.settings.get("data")
    data = data if isinstance(data, dict) else {}
    named = data.get("judge")
    return judge_for_data(
        None if named is None else str(named), str(data.get("dataset")), vae, classes
    )


def judge_for_data(
    named: str | None, dataset: str, vae: TrainedVAE, classes: tuple[str, ...] | None = None
) -> Judge | None:
    """Load the judge of this name, or else that of the data set, on the VAE's device.

    Returns None if no judge is named and there is none for the data set or for images of this shape.
    Raises JudgeError if the judge that is named is missing, or takes other images or classes.
    """
    if named is None and not (JUDGES / f"{dataset}.json").exists():
        return None
    judge, card = load_judge(named or dataset)
    if vae.spec.image != card.image:
        if named is None:
            return None
        raise JudgeError(
            f"data.judge: {named} takes images of {card.image.shape}, the model's are "
            f"{vae.spec.image.shape} (channels, height, width); leave out data.judge"
        )
    if classes is not None and card.class_names and card.class_names != classes:
        raise JudgeError(
            f"data.judge: {named or dataset} knows the classes {_listed(card.class_names)}; the data "
            f"set has {_listed(classes)}; leave out data.judge"
        )
    return judge.to(vae.device)


def _listed(names: tuple[str, ...]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 200 else f"{text[:200]}..."


def judge_bytes(judge: Judge) -> bytes:
    """Serialise a judge's weights in float16, which costs no accuracy."""
    weights = judge.state_dict()
    return safetensors.torch.save(
        {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in weights.items()}
    )


def _read_card(dataset: str, folder: Path) -> JudgeCard:
    datasets = sorted(path.stem for path in folder.glob("*.json"))
    if dataset not in datasets:
        names = ", ".join(datasets) or "none"
        raise JudgeError(f"no judge for {dataset[:80]!r}; there are: {names}")
    try:
        return JudgeCard.model_validate_json((folder / f"{dataset}.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise JudgeError(f"judge {dataset}: {dataset}.json is not a judge's card") from error


def _build(card: JudgeCard, content: bytes) -> Judge:
    judge = Judge(card.classes, card.width)
    try:
        weights = safetensors.torch.load(content)
        judge.load_state_dict(weights)  # copies into float32
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise JudgeError(
            f"judge {card.dataset}: the weights do not fit the network: {reason}"
        ) from error
    return judge.eval().requires_grad_(requires_grad=False)


def _convolution(
    c_in: int, c_out: int, kernel_size: int = 3, stride: int = 1
) -> tuple[nn.Module, ...]:
    padding = kernel_size // 2
    return (
        nn.Conv2d(c_in, c_out, kernel_size, stride, padding, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(),
    )
