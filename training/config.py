"""A preset: what is trained, on which data and how, as one validated, frozen value.

Presets are training/presets/*.toml, one per published model. `--set optimiser.epochs=3` changes
one key of a preset by its dotted name. Keys that were renamed are still accepted by their former
names, in files, in `--set` and in the checkpoints of earlier runs: see FORMER_KEYS.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from model_store.network_size import excess
from model_store.spec import Arithmetic, Frozen, ModelRef, ModelSpec, Name, Package
from training.errors import PresetNotFoundError, SettingError
from training.suggestions import MOST_LISTED, advice, nearest

PRESETS = Path(__file__).parent / "presets"

FORMER_KEYS = {
    "objective.prior_alone_epochs": "objective.freeze_vae_epochs",
    "objective.moved_share": "objective.augment_probability",
    "objective.moved_until_epochs": "objective.augment_until_epoch",
    "objective.centred": "objective.standardise_latents",
    "optimiser.average": "optimiser.ema_decay",
}
"""Former dotted name of a key -> its present one."""

LIST_PRESETS = "`python -m training presets` lists them"

_BARE_WORD = re.compile(r"(?:[A-Za-z]|~?/|\.{1,2}/)[A-Za-z0-9_./@-]*")
"""A word, a path or a reference such as lab@4, which `--set` takes without quotes."""


Reference = Annotated[str, AfterValidator(lambda text: str(ModelRef.parse(text)))]

NEVER = 1_000_000
"""An epoch that no training reaches."""


def _rename_former_keys(section: str, settings: Any) -> Any:
    """Give the renamed keys of a preset's section their present names; ValueError if both occur."""
    if not isinstance(settings, dict):
        return settings
    names = {former.rpartition(".")[2]: key for former, key in FORMER_KEYS.items()}
    renamed = {}
    for name, value in settings.items():
        key = names.get(name, "")
        present = key.rpartition(".")[2] if key.startswith(f"{section}.") else name
        if present != name and present in settings:
            raise ValueError(f"{name} is the former name of {present}; give only {present}")
        renamed[present] = value
    return renamed


class Section(Frozen):
    """Base of a preset and its parts; the text below a field describes it in the JSON schema."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Data(Section):
    """Which images to train on; the test split is always used as a whole."""

    dataset: Literal["mnist", "fashion-mnist", "folder"]
    folder: str | None = None
    """Folder of images for the data set `folder`, relative to the working directory or to --data-dir;
    None uses --data-dir."""
    holdout: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Fraction of a folder's images held out for measuring, unless it has train/ and test/."""
    judge: str | None = None
    """Name of the classifier that measures the samples, of those in training/classifier/weights; None
    takes the one of the data set, if there is one."""
    train_images: PositiveInt | None = None
    """Number of images to use from the start of the training split; None uses all."""


class Augmentation(Section):
    """Limits of a random affine map; each quantity is drawn between minus and plus its limit."""

    degrees: NonNegativeFloat = 15.0
    shift: NonNegativeFloat = 0.05
    """Horizontal and vertical shift, as a fraction of the image's side."""
    scale: NonNegativeFloat = 0.1
    """Change of size; 0.1 draws factors from 1 / 1.1 to 1.1."""
    shear: NonNegativeFloat = 0.0
    """Horizontal shear: shift of a row per unit of its distance from the middle row."""
    mirror: bool = False
    """Mirror half of the images left to right."""


class Objective(Section):
    """loss = -(log_px - beta * kl), in nats, summed over pixels, averaged over the batch."""

    beta: NonNegativeFloat = 1.0
    annealing_epochs: NonNegativeFloat = 0.0
    """Number of epochs over which beta grows linearly, step by step, from 0 to its value."""
    freeze_vae_epochs: NonNegativeInt = 0
    """Number of first epochs in which only the flow prior is trained."""
    prior_only_epochs: NonNegativeInt = 0
    """Number of last epochs in which only the flow prior is trained, on draws from q(z | x): fast,
    because nothing is decoded. Their learning rate starts again and falls along a cosine."""
    judged_rounds: NonNegativeInt = 0
    """Number of times that the flow prior is fitted again after the last epoch: to draws from
    q(z | x), and to those of its own draws of which the data set's judge is sure."""
    judged_encoder_steps: NonNegativeInt = 0
    """Number of steps after the last epoch, and before judged_rounds. They train the encoder alone, so
    that a reconstruction keeps the class that the data set's judge sees in its image."""
    judged_temperature: PositiveFloat = Field(default=1.0, le=2.0)
    """Standard deviation of u in the draws of judged_rounds; above 1, rare forms are drawn more often."""
    free_bits: NonNegativeFloat = 0.0
    """Nats of KL per latent dimension (batch mean) below which the KL is not penalised."""
    targets: Literal["grey", "binary", "mixed"] = "grey"
    """Pixels to learn: grey values as probabilities (`grey`), pixels drawn to 0 or 1 again in each
    step (`binary`), or one of the two at random for each image (`mixed`)."""
    importance_samples: PositiveInt = 1
    """Draws of z per image; with several, the loss is minus the importance-weighted bound."""
    importance_after_epochs: NonNegativeFloat = 0.0
    """Number of first epochs that use a single draw, which is faster."""
    doubly_reparameterised: bool = False
    """Leave the score of q out of the encoder's gradient: same expectation, less variance."""
    consistency: NonNegativeFloat = 0.0
    """Weight of KL(q(z | x') || q(z | x)) for an augmented copy x' of each image x. Every image is
    then used twice per epoch, unchanged and augmented."""
    augment_probability: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability with which a training image is replaced by an augmented copy."""
    augment_until_epoch: NonNegativeFloat = float(NEVER)
    """Epoch from which on nothing is augmented: augmented images do not follow the data."""
    augmentation: Augmentation = Augmentation()
    standardise_latents: bool = False
    """After the last epoch, shift and scale each latent dimension to mean 0 and variance 1 over the
    training split. The networks compensate for it, so only the KL falls."""

    @model_validator(mode="before")
    @classmethod
    def _accept_former_keys(cls, settings: Any) -> Any:
        return _rename_former_keys("objective", settings)

    @model_validator(mode="after")
    def _check_importance_samples_and_augmentation(self) -> Self:
        if self.free_bits and (self.importance_samples > 1 or self.doubly_reparameterised):
            raise ValueError(
                "free_bits need the exact KL, which importance_samples and "
                "doubly_reparameterised do not use"
            )
        if self.consistency and self.augment_probability:
            raise ValueError("consistency already augments every image; set augment_probability 0")
        return self


class Optimiser(Section):
    """Adam (Kingma & Ba 2015), or AdamW (Loshchilov & Hutter 2019) with weight decay."""

    name: Literal["adam", "adamw"] = "adam"
    learning_rate: PositiveFloat = Field(default=1e-3, le=1.0)
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warmup_epochs: NonNegativeFloat = 0.0
    """Number of epochs over which the learning rate grows linearly from 0."""
    step_epochs: tuple[PositiveInt, ...] = ()
    """Epochs after which the schedule `step` multiplies the learning rate by `step_factor`."""
    step_factor: PositiveFloat = 0.1
    clip_norm: PositiveFloat | None = None
    """Largest Euclidean norm of a batch's gradient; None does not clip."""
    ema_decay: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Decay per step of the moving average of the weights, which is published instead of the last
    weights; None publishes the last weights."""
    batch_size: PositiveInt = 128
    epochs: PositiveInt = 10
    passes: PositiveInt | None = None
    """Passes over the training images that make one epoch; None means one. Each epoch ends in a
    measurement and a checkpoint, which few images would have after every few steps."""

    @model_validator(mode="before")
    @classmethod
    def _accept_former_keys(cls, settings: Any) -> Any:
        return _rename_former_keys("optimiser", settings)

    @model_validator(mode="after")
    def _check_that_the_settings_fit_each_other(self) -> Self:
        if self.weight_decay and self.name != "adamw":
            raise ValueError('weight_decay needs adamw; set optimiser.name to "adamw"')
        if bool(self.step_epochs) != (self.schedule == "step"):
            raise ValueError('the schedule "step" and step_epochs need each other')
        return self


class Compute(Section):
    """Numerical precision, layout of images in memory, and compilation.

    `auto` is replaced before training by what is fastest on the machine, if the difference is
    clear: see training/fitting/compute_choice.py. A trainer that gets `auto` does without.
    """

    matmul: Literal["auto", "highest", "high", "medium"] = "highest"
    """PyTorch's float32_matmul_precision during training: lower may be faster and less exact."""
    bf16: bool | Literal["auto"] = False
    """Run encoder and decoder in bfloat16 by autocast; likelihood, KL, flow and the weights stay in
    32 bits. On a CPU with avx512_bf16, training is 1.75 (`lab`) to 1.9 times (`mnist`) as fast; with
    AVX2 alone it is ten times slower."""
    channels_last: bool | Literal["auto"] = False
    """Keep the channels of a pixel next to each other in memory, which suits some convolutions."""
    compile: bool = False
    """Compile the objective by torch.compile on a GPU; takes about a minute before the first step.
    Ignored on a CPU."""


class Preset(Section):
    """A model, its data and its training."""

    summary: str
    data: Data
    model: ModelSpec
    start: Reference | None = None
    """Version whose weights training starts from, looked up in the store and then among the shipped
    models. A flow that this version does not have starts as the identity."""
    objective: Objective = Objective()
    optimiser: Optimiser = Optimiser()
    compute: Compute = Compute()
    arithmetic: Arithmetic = "exact-1"
    """Arithmetic to publish in: `exact-1` gives the same bytes on every machine; see arithmetic.md."""
    family: Name | None = None
    """Name that versions share which differ in objective.beta alone; the page shows them by a slider."""

    @model_validator(mode="after")
    def _check_that_there_is_a_prior_to_learn(self) -> Self:
        for key in ("freeze_vae_epochs", "prior_only_epochs", "judged_rounds"):
            if getattr(self.objective, key) and self.model.prior is None:
                raise ValueError(f"objective.{key} needs a model.prior, which is a flow")
        return self

    @model_validator(mode="after")
    def _check_that_the_network_could_be_published(self) -> Self:
        too_large = excess(self.model)
        if too_large is not None:
            raise ValueError(f"model: {too_large}")
        return self

    @model_validator(mode="after")
    def _check_that_latents_can_be_standardised(self) -> Self:
        bounded = self.model.logvar_bound is not None
        foreign = isinstance(self.model.network, Package)
        if self.objective.standardise_latents and (self.model.prior or bounded or foreign):
            raise ValueError(
                "objective.standardise_latents works with neither a flow nor a logvar_bound nor the "
                "network of a package"
            )
        return self

    @model_validator(mode="after")
    def _check_that_the_network_can_be_trained(self) -> Self:
        if self.model.network.kind == "onnx":
            raise ValueError("model.network: graphs of ONNX are imported, and are not trained")
        return self


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


def load_preset(name: str, overrides: Mapping[str, object] | None = None) -> Preset:
    """Read a preset by its name or the path of its .toml, and replace some of its keys.

    Raises PresetNotFoundError, SettingError.
    """
    preset = _validate(_read(preset_path(name)), ())
    return changed(preset, overrides) if overrides else preset


def changed(preset: Preset, overrides: Mapping[str, object]) -> Preset:
    """Return a preset with some keys, by dotted name, replaced; raises SettingError."""
    tree = preset.model_dump()
    keys = tuple(key for key, _ in _items(tree))
    for key, value in overrides.items():
        _replace(tree, FORMER_KEYS.get(key, key), value, keys)
    return _validate(tree, keys)


def preset_path(name: str) -> Path:
    """Return the file of a preset; raises PresetNotFoundError."""
    if name in preset_names():
        return PRESETS / f"{name}.toml"
    path = Path(name)
    if path.suffix != ".toml":
        raise PresetNotFoundError(
            f"no preset {name[:80]!r} (one of your own needs the path of its .toml); "
            f"{advice(name, preset_names(), LIST_PRESETS)}"
        )
    if not path.is_file():
        raise PresetNotFoundError(f"no preset file {path}{_similar_file(path)}")
    return path


def _similar_file(path: Path) -> str:
    """Suggest the .toml files beside a missing one that resemble it."""
    similar = nearest(path.name, (each.name for each in path.parent.glob("*.toml")))
    return (
        f"; did you mean {' or '.join(str(path.parent / each) for each in similar)}?"
        if similar
        else ""
    )


def plain_name(name: str) -> str:
    """Return the model name for a preset that is given by its name or path."""
    return Path(name).stem if name.endswith(".toml") else name


def differences(a: Preset, b: Preset) -> list[tuple[str, object, object]]:
    """Return (dotted key, value in a, value in b) for each key in which two presets differ."""
    in_a, in_b = (dict(_items(preset.model_dump(exclude={"summary"}))) for preset in (a, b))
    return [
        (key, in_a.get(key), in_b.get(key))
        for key in sorted(in_a.keys() | in_b.keys())
        if in_a.get(key) != in_b.get(key)
    ]


def with_choices(preset: Preset, chosen: Compute) -> Preset:
    """Replace each `auto` of the preset's compute settings by the chosen value."""
    tree = preset.compute.model_dump()
    settings = {k: getattr(chosen, k) if value == "auto" else value for k, value in tree.items()}
    return preset.model_copy(update={"compute": Compute.model_validate(settings)})


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SettingError(f"cannot read the preset {path}: save it as UTF-8; {error}") from error
    except (OSError, ValueError) as error:
        raise SettingError(f"cannot read the preset {path}: {error}") from error


def parse_overrides(assignments: Iterable[str]) -> dict[str, object]:
    """Parse `["optimiser.epochs=3"]` into `{"optimiser.epochs": 3}`; raises SettingError.

    A value is TOML, or a word, a path or a reference without quotes.
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


def _replace(tree: dict[str, Any], key: str, value: object, keys: tuple[str, ...]) -> None:
    *path, last = key.split(".")
    for part in path:
        tree = tree.get(part, {})
        if not isinstance(tree, dict):
            raise _unknown(key, keys)
    if last not in tree or isinstance(tree[last], dict):
        raise _unknown(key, keys)
    tree[last] = value


def _unknown(key: str, keys: tuple[str, ...]) -> SettingError:
    """Name the keys that resemble an unknown one, or else the keys of its section."""
    if _inside(key, keys):
        return SettingError(f"{key} is a section of the preset; {_keys_of(key, keys)}")
    sections = list(dict.fromkeys(each.rpartition(".")[0] for each in keys if "." in each))
    unknown = f"no key {key[:80]!r} in the preset"
    if similar := nearest(key, [*keys, *sections]):
        return SettingError(f"{unknown}; did you mean {' or '.join(similar)}?")
    section = nearest(key.rpartition(".")[0], sections) if "." in key else []
    listed = _keys_of(section[0], keys) if section else f"its sections are: {', '.join(sections)}"
    return SettingError(f"{unknown}; {listed}")


def _inside(section: str, keys: tuple[str, ...]) -> list[str]:
    return [each for each in keys if each.startswith(f"{section}.")]


def _keys_of(section: str, keys: tuple[str, ...]) -> str:
    return f"the keys of {section} are: {', '.join(_inside(section, keys)[:MOST_LISTED])}"


def _items(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, object]]:
    """Yield the dotted name and the value of each leaf."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _items(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _validate(tree: Mapping[str, Any], keys: tuple[str, ...]) -> Preset:
    try:
        return Preset.model_validate(tree)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        # pydantic adds the tag of a union to the location: model.network.conv.hidden
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            raise _unknown(_without_tags(key), keys or _valid_keys(tree)) from error
        value = str(problem["input"])[:80]
        raise SettingError(f"{key}: {problem['msg'].lower()}; got {value}") from error


def _without_tags(key: str) -> str:
    """Remove the kind of a network, which pydantic inserts, from a dotted key."""
    return re.sub(r"^model\.network\.(mlp|conv|residual|onnx|package)\.", "model.network.", key)


def _valid_keys(tree: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the dotted keys that a preset file may have, given its kind of network."""
    network = tree.get("model", {}).get("network", {})
    kind = network.get("kind") if isinstance(network, dict) else None
    return tuple(_fields(Preset, "", kind))


def _fields(annotation: Any, prefix: str, kind: object) -> Iterable[str]:
    """Yield the dotted keys of a model, and of the models among its fields."""
    for name, field in annotation.model_fields.items():
        models = list(_models(field.annotation))
        kinds = [each for each in models if "kind" in each.model_fields]
        models = [each for each in kinds if each.model_fields["kind"].default == kind] or models
        if not models:
            yield f"{prefix}{name}"
        for each in models:
            yield from _fields(each, f"{prefix}{name}.", kind)


def _models(annotation: Any) -> Iterable[type[Frozen]]:
    """Yield the models in an annotation such as `Conv | MLP | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
