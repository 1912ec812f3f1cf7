"""A preset: everything that decides what is trained and how, as one validated, frozen value.

Presets are training/presets/*.toml, one per published model. `--set optimiser.epochs=3` changes
one key of a preset by its dotted name.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from model_store import Frozen, ModelSpec
from training.errors import PresetNotFoundError, SettingError

PRESETS = Path(__file__).parent / "presets"

_BARE_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


class Data(Frozen):
    """Which images; the test split is always whole."""

    dataset: Literal["mnist", "fashion-mnist"]
    train_images: PositiveInt | None = None
    """Only the first so many of the training split; all where not given."""


class Objective(Frozen):
    """loss = -(log_px - beta * kl), in nats, summed over pixels, averaged over the batch."""

    beta: NonNegativeFloat = 1.0
    targets: Literal["grey"] = "grey"
    """Grey pixels are taken as probabilities."""


class Optimiser(Frozen):
    """Adam (Kingma & Ba 2015) with a constant learning rate."""

    name: Literal["adam"] = "adam"
    learning_rate: PositiveFloat = Field(default=1e-3, le=1.0)
    batch_size: PositiveInt = 128
    epochs: PositiveInt = 10


class Preset(Frozen):
    """A model, its data and its training."""

    summary: str
    data: Data
    model: ModelSpec
    objective: Objective = Objective()
    optimiser: Optimiser = Optimiser()


def preset_names() -> tuple[str, ...]:
    """Names of all presets, sorted."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


def load_preset(name: str, overrides: Mapping[str, object] | None = None) -> Preset:
    """A preset with some of its keys, by dotted name, replaced.

    Raises PresetNotFoundError, SettingError.
    """
    if name not in preset_names():
        raise PresetNotFoundError(
            f"no preset {name[:80]!r}; there are: {', '.join(preset_names())}"
        )
    preset = _validate(tomllib.loads((PRESETS / f"{name}.toml").read_text(encoding="utf-8")), ())
    if not overrides:
        return preset
    known = tuple(_dotted(preset.model_dump()))
    tree = preset.model_dump()
    for key, value in overrides.items():
        _replace(tree, key, value, known)
    return _validate(tree, known)


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


def _dotted(tree: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


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
