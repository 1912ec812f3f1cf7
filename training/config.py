"""A preset: everything that decides what is trained and how, as one validated, frozen value.

Presets are training/presets/*.toml, one per published model. `--set optimiser.epochs=3` changes
one key of a preset by its dotted name.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from model_store.spec import Frozen, ModelRef, ModelSpec
from training.errors import PresetNotFoundError, SettingError

PRESETS = Path(__file__).parent / "presets"

_BARE_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


Reference = Annotated[str, AfterValidator(lambda text: str(ModelRef.parse(text)))]

MANY = 1_000_000
"""Epochs: never reached."""


class Data(Frozen):
    """Which images; the test split is always whole."""

    dataset: Literal["mnist", "fashion-mnist", "folder"]
    folder: str | None = None
    """Of the data set `folder`: where the images are; --data-dir where not given."""
    holdout: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Of the data set `folder`: the share to measure on, where it has no train/ and test/."""
    train_images: PositiveInt | None = None
    """Only the first so many of the training split; all where not given."""


class Augmentation(Frozen):
    """Limits of a random affine map: each quantity is uniform up to its limit, to both sides."""

    degrees: NonNegativeFloat = 15.0
    shift: NonNegativeFloat = 0.05
    """Share of the image's side."""
    scale: NonNegativeFloat = 0.1
    """0.1: between 1 / 1.1 and 1.1 times as large."""
    mirror: bool = False
    """Left and right swapped in half of the images."""


class Objective(Frozen):
    """loss = -(log_px - beta * kl), in nats, summed over pixels, averaged over the batch."""

    beta: NonNegativeFloat = 1.0
    annealing_epochs: NonNegativeFloat = 0.0
    """Beta grows from 0 in a line, step by step, and has its value after so many epochs."""
    prior_alone_epochs: NonNegativeInt = 0
    """For so many epochs a flow prior learns, and encoder and decoder stay as they are."""
    free_bits: NonNegativeFloat = 0.0
    """Nats of each latent dimension, averaged over the batch, that cost the same as none."""
    targets: Literal["grey", "binary", "mixed"] = "grey"
    """Grey pixels are taken as probabilities, or drawn to 0 or 1 anew each time; or each of the
    two for half of the images, so that the encoder knows both."""
    importance_samples: PositiveInt = 1
    """Draws of z for an image; the loss of several is -ln of the mean of their weights."""
    importance_after_epochs: NonNegativeFloat = 0.0
    """Until then one draw, which is faster."""
    doubly_reparameterised: bool = False
    """The encoder's gradient without the score of q: less noise, the same mean."""
    consistency: NonNegativeFloat = 0.0
    """Weight of KL(q(z | moved x) || q(z | x)); each image is then learnt from twice, as it is and
    moved as `augmentation` says."""
    moved_share: float = Field(default=0.0, ge=0.0, le=1.0)
    """So many of the images are moved, and not learnt from as they are."""
    moved_until_epochs: NonNegativeFloat = float(MANY)
    """From then on without either of the two: moved images are not the data's."""
    augmentation: Augmentation = Augmentation()
    centred: bool = False
    """After the last epoch, each latent is moved and stretched so that those of the training split
    have mean 0 and variance 1; the networks take it up, and only the KL falls."""

    @model_validator(mode="after")
    def _check_that_several_draws_go_with_the_rest(self) -> Self:
        if self.free_bits and (self.importance_samples > 1 or self.doubly_reparameterised):
            raise ValueError("free_bits are of the exact KL; the weights of draws leave them out")
        if self.consistency and self.moved_share:
            raise ValueError("consistency moves every image once; moved_share is without it")
        return self


class Optimiser(Frozen):
    """Adam (Kingma & Ba 2015), or AdamW (Loshchilov & Hutter 2019) with weight decay."""

    name: Literal["adam", "adamw"] = "adam"
    learning_rate: PositiveFloat = Field(default=1e-3, le=1.0)
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warmup_epochs: NonNegativeFloat = 0.0
    """The learning rate grows from 0 in a line for so many epochs."""
    step_epochs: tuple[PositiveInt, ...] = ()
    """Of the schedule `step`: epochs after which the rate is multiplied by `step_factor`."""
    step_factor: PositiveFloat = 0.1
    clip_norm: PositiveFloat | None = None
    """The gradient of a batch is scaled down to this Euclidean norm; not clipped where None."""
    average: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Decay per step of the moving average of weights that is published; None for the last."""
    batch_size: PositiveInt = 128
    epochs: PositiveInt = 10

    @model_validator(mode="after")
    def _check_that_the_settings_fit_each_other(self) -> Self:
        if self.weight_decay and self.name != "adamw":
            raise ValueError("weight decay is a part of adamw; set optimiser.name to it")
        if bool(self.step_epochs) != (self.schedule == "step"):
            raise ValueError('the schedule "step" and step_epochs need each other')
        return self


class Compute(Frozen):
    """How to compute."""

    matmul: Literal["highest", "high", "medium"] = "highest"
    """PyTorch's float32_matmul_precision while training: lower may be faster and less exact."""
    bf16: bool = False
    """Networks in bfloat16 by autocast; likelihood, KL, flow and weights stay in 32 bits.

    Pays on a GPU, and for convolutions on a CPU that has avx512_bf16 or amx_bf16."""
    compile: bool = False
    """On a GPU, let torch.compile fuse the objective; takes a minute before the first step."""


class Preset(Frozen):
    """A model, its data and its training."""

    summary: str
    data: Data
    model: ModelSpec
    start: Reference | None = None
    """A version whose weights to begin with, from the store or shipped; a flow that it has not
    begins as the identity."""
    objective: Objective = Objective()
    optimiser: Optimiser = Optimiser()
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _check_that_there_is_a_prior_to_learn(self) -> Self:
        if self.objective.prior_alone_epochs and self.model.prior is None:
            raise ValueError("objective.prior_alone_epochs need a model.prior, which is a flow")
        return self

    @model_validator(mode="after")
    def _check_that_latents_can_be_centred(self) -> Self:
        if self.objective.centred and (self.model.prior or self.model.logvar_bound is not None):
            raise ValueError("objective.centred goes with neither a flow nor a logvar_bound")
        return self


def preset_names() -> tuple[str, ...]:
    """Names of all presets, sorted."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


def load_preset(name: str, overrides: Mapping[str, object] | None = None) -> Preset:
    """A preset, by its name or the path of its .toml, with some of its keys replaced.

    Raises PresetNotFoundError, SettingError.
    """
    preset = _validate(_read(preset_path(name)), ())
    return changed(preset, overrides) if overrides else preset


def changed(preset: Preset, overrides: Mapping[str, object]) -> Preset:
    """A preset with some of its keys, by dotted name, replaced; raises SettingError."""
    known = tuple(_dotted(preset.model_dump()))
    tree = preset.model_dump()
    for key, value in overrides.items():
        _replace(tree, key, value, known)
    return _validate(tree, known)


def preset_path(name: str) -> Path:
    """The file of a preset; raises PresetNotFoundError."""
    if name in preset_names():
        return PRESETS / f"{name}.toml"
    path = Path(name)
    if path.suffix != ".toml":
        raise PresetNotFoundError(
            f"no preset {name[:80]!r}; there are: {', '.join(preset_names())}; a preset of your "
            "own is named by the path of its .toml"
        )
    if not path.is_file():
        raise PresetNotFoundError(f"no preset in {path}")
    return path


def plain_name(name: str) -> str:
    """What a preset, by its name or path, is called in the store."""
    return Path(name).stem if name.endswith(".toml") else name


def differences(a: Preset, b: Preset) -> list[tuple[str, object, object]]:
    """Dotted names of the keys in which two presets differ, with the value of either."""
    one, other = (dict(_items(preset.model_dump(exclude={"summary"}))) for preset in (a, b))
    return [
        (key, one.get(key), other.get(key))
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"cannot read the preset {path}: {error}") from error


def parse_overrides(assignments: Iterable[str]) -> dict[str, object]:
    """`["optimiser.epochs=3"]` -> `{"optimiser.epochs": 3}`; values are TOML, or a bare word.

    Raises SettingError.
    """
    return dict(_parse_override(assignment) for assignment in assignments)


def _parse_override(assignment: str) -> tuple[str, object]:
    key, equals, text = (part.strip() for part in assignment.partition("="))
    if not (key and equals and text):
        raise SettingError(f"--set {assignment!r} is not key=value, such as optimiser.epochs=3")
    if _BARE_WORD.fullmatch(text) and text not in {"true", "false", "inf", "nan"}:
        return key, text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    if parsed.keys() != {"value"}:
        raise SettingError(
            f"--set {key}: {text!r} is not a TOML value, such as 3, 1e-3, [400, 200] or "
            "fashion-mnist"
        )
    return key, parsed["value"]


def _replace(tree: dict[str, Any], key: str, value: object, known: tuple[str, ...]) -> None:
    *path, last = key.split(".")
    for part in path:
        tree = tree.get(part, {})
        if not isinstance(tree, dict):
            raise _unknown(key, known)
    if last not in tree or isinstance(tree[last], dict):
        raise _unknown(key, known)
    tree[last] = value


def _unknown(key: str, known: tuple[str, ...]) -> SettingError:
    return SettingError(f"no key {key[:80]!r} in the preset; there are: {', '.join(known)}")


def _dotted(tree: Mapping[str, Any]) -> Iterable[str]:
    return (key for key, _ in _items(tree))


def _items(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, object]]:
    """Dotted name and value of each leaf."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _items(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _validate(tree: Mapping[str, Any], known: tuple[str, ...]) -> Preset:
    try:
        return Preset.model_validate(tree)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        # a union puts its own tag into the location: model.network.conv.hidden
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden" and known:
            raise _unknown(key, known) from error
        given = str(problem["input"])[:80]
        raise SettingError(f"{key}: {problem['msg'].lower()}; got {given}") from error
