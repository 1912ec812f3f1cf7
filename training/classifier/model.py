"""A small classifier of real images, as a judge of made ones.

It answers two questions of every image: which class is it, and how sure is that; and its
penultimate layer gives the features on which sets of images are compared (sample_quality.py).
The weights lie beside this file, one judge a data set, with what they reached on its test split:

    judges/<dataset>.safetensors    float16; trained by judge_training.py
    judges/<dataset>.json           the JudgeCard: accuracy, protocol, SHA-256
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

from model_store.spec import Frozen
from training.errors import TrainingError

JUDGES = Path(__file__).parent / "weights"
SURE = 0.95
"""From this probability on the judge is called sure."""

Share = Annotated[float, Field(ge=0, le=1)]


class JudgeError(TrainingError):
    """A judge that is missing, damaged or not the one that its card describes."""


class JudgeCard(Frozen):
    """What a judge reached, and the checksum of the weights that reached it."""

    dataset: str
    classes: PositiveInt = 10
    width: PositiveInt = 32
    """Channels of the first convolution; a quarter of the number of features."""
    accuracy: Share
    """Share of the test split that it labels as the data set does."""
    sure_share: Share
    """Share of the test split whose likeliest class has a probability of SURE or more."""
    sure_accuracy: Share
    """Share of those that it labels as the data set does."""
    protocol: str
    seed: NonNegativeInt
    epochs: PositiveInt
    parameters: PositiveInt
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class Judge(nn.Module):
    """Five convolutions with batch norm, averaged over the image, and one linear layer.

    The layer before the last one has 4 * width features.
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
        """x (batch, 1, 28, 28), grey in [0, 1] -> (batch, features), >= 0."""
        return cast(Tensor, self.trunk(x))

    def forward(self, x: Tensor) -> Tensor:
        """x (batch, 1, 28, 28), grey in [0, 1] -> logits (batch, classes)."""
        return cast(Tensor, self.head(self.features(x)))


@dataclass(frozen=True)
class Verdict:
    """What a judge says of images: features (images, features), probabilities (images, classes)."""

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

    def __getitem__(self, index: Tensor | slice) -> "Verdict":
        return Verdict(self.features[index], self.probabilities[index])


@torch.inference_mode()
def judge_images(judge: Judge, x: Tensor, batch_size: int = 500) -> Verdict:
    """The verdict on x (images, 1, 28, 28), grey in [0, 1], in batches; on the judge's device."""
    device = judge.head.weight.device
    features = torch.cat([judge.features(part.to(device)) for part in torch.split(x, batch_size)])
    return Verdict(features, judge.head(features).softmax(dim=1))


def load_judge(dataset: str, folder: Path = JUDGES) -> tuple[Judge, JudgeCard]:
    """A judge in evaluation mode on the CPU, in float32, and its card; raises JudgeError."""
    card = _read_card(dataset, folder)
    path = folder / f"{dataset}.safetensors"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JudgeError(f"judge {dataset}: cannot read {path}: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise JudgeError(
            f"judge {dataset}: {path.name} has SHA-256 {found[:12]}..., its card asks for "
            f"{card.sha256[:12]}...; take both from one commit, or train it anew"
        )
    return _build(card, content), card


def judge_bytes(judge: Judge) -> bytes:
    """The content of a judge's weights file: float16, which costs no accuracy."""
    weights = judge.state_dict()
    return safetensors.torch.save(
        {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in weights.items()}
    )


def _read_card(dataset: str, folder: Path) -> JudgeCard:
    known = sorted(path.stem for path in folder.glob("*.json"))
    if dataset not in known:
        raise JudgeError(f"no judge of {dataset[:80]!r}; there are: {', '.join(known) or 'none'}")
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
