import codecs
from pathlib import Path

import pytest
from pydantic import ValidationError

from training.config import (
    FORMER_KEYS,
    PRESETS,
    Objective,
    load_preset,
    parse_overrides,
    preset_names,
)
from training.errors import PresetNotFoundError, SettingError


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_has_a_summary_of_one_line(name: str):
    summary = load_preset(name).summary
    assert summary
    assert "\n" not in summary


def test_a_preset_cannot_be_changed_after_it_was_validated():
    with pytest.raises(ValidationError):
        load_preset("lab").summary = "another"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "meant"), [("lob", "lab"), ("mnst", "mnist"), ("Fashion_flow", "fashion-flow")]
)
def test_the_error_for_an_unknown_preset_names_the_nearest(name: str, meant: str):
    with pytest.raises(PresetNotFoundError, match=rf"no preset '{name}'.*did you mean {meant}\b"):
        load_preset(name)


def test_the_error_for_a_preset_that_resembles_none_lists_them():
    with pytest.raises(PresetNotFoundError, match=r"no preset 'sunset'.*there are: .*digits"):
        load_preset("sunset")


def test_the_error_for_a_missing_file_names_one_beside_it(tmp_path: Path):
    (tmp_path / "shapes.toml").touch()
    with pytest.raises(PresetNotFoundError, match=r"did you mean .*shapes\.toml\?"):
        load_preset(str(tmp_path / "shape.toml"))


def test_a_name_with_a_path_is_not_a_preset():
    with pytest.raises(PresetNotFoundError):
        load_preset("../presets/lab")


def test_an_override_changes_only_its_key():
    overrides = parse_overrides(
        ["optimiser.learning_rate=3e-4", "model.network.hidden = [64, 32]", "objective.beta=4"]
    )
    lab, changed = load_preset("lab"), load_preset("lab", overrides)
    assert changed.optimiser == lab.optimiser.model_copy(update={"learning_rate": 3e-4})
    assert changed.model.network.model_dump()["hidden"] == (64, 32)
    assert changed.objective.beta == 4.0
    assert changed.data == lab.data


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1e-3", 1e-3), ("[1, 2]", [1, 2]), ("true", True), ('"a b"', "a b")],
)
def test_override_values_are_toml(text: str, value: object):
    assert parse_overrides([f"key={text}"]) == {"key": value}


@pytest.mark.parametrize("path", ["glyphs", "my/shapes", "/data/a-b_c.d/e", "./a", "../a", "~/a"])
def test_a_path_needs_no_quotes(path: str):
    assert parse_overrides([f"data.folder={path}"]) == {"data.folder": path}


def test_a_bare_word_needs_no_quotes():
    assert parse_overrides(["data.dataset=fashion-mnist"]) == {"data.dataset": "fashion-mnist"}


@pytest.mark.parametrize("reference", ["lab@4", "mine@production", "mnist-beta-0.5@1"])
def test_a_start_needs_no_quotes(reference: str):
    overrides = parse_overrides([f"start={reference}"])
    assert load_preset("lab", overrides).start == reference


@pytest.mark.parametrize("text", ["optimiser.epochs", "=3", "epochs=", "epochs=[1", "a=1\nb=2"])
def test_an_invalid_assignment_is_refused_with_an_example(text: str):
    with pytest.raises(SettingError, match="such as"):
        parse_overrides([text])


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("epochs", r"no key 'epochs'.*did you mean optimiser\.epochs\?"),
        ("optimiser.epoch", r"did you mean optimiser\.epochs\?"),
        ("optimizer", r"did you mean optimiser\?"),
        ("optimizer.learning_rat", r"did you mean optimiser\.learning_rate\?"),
        ("objective.Bta", r"did you mean objective\.beta\?"),
        ("optimiser", r"is a section.*optimiser\.epochs"),
        ("model.network.depth", r"the keys of model\.network are: .*model\.network\.hidden"),
        ("optimiser.speed", r"the keys of optimiser are: .*optimiser\.learning_rate"),
        ("optimiser.epochs.x", r"its sections are: data, model"),
        ("lr", r"its sections are: data, model"),
    ],
)
def test_the_error_for_an_unknown_key_names_the_nearest_or_a_short_list(key: str, answer: str):
    with pytest.raises(SettingError, match=answer) as caught:
        load_preset("lab", {key: 1})
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (
            "optimiser = { epoch = 3 }",
            r"no key 'optimiser\.epoch'.*did you mean optimiser\.epochs\?",
        ),
        ("optimizer = { epochs = 3 }", r"did you mean optimiser\?"),
        ("objective = { augmentation = { degree = 3 } }", r"objective\.augmentation\.degrees\?"),
        ("compute = { bfloat = true }", r"the keys of compute are: .*compute\.bf16"),
    ],
)
def test_an_unknown_key_in_a_preset_file_is_answered_alike(tmp_path: Path, line: str, answer: str):
    path = tmp_path / "mine.toml"
    model = 'model = { latent = 4, network = { kind = "mlp" } }'
    path.write_text(f'summary = "mine"\ndata = {{ dataset = "mnist" }}\n{model}\n{line}\n')
    with pytest.raises(SettingError, match=answer):
        load_preset(str(path))


def test_an_unknown_key_of_a_network_is_answered_without_the_keys_of_other_kinds(tmp_path: Path):
    path = tmp_path / "mine.toml"
    network = '{ kind = "conv", chanels = [3] }'
    path.write_text(
        f'summary = "mine"\ndata = {{ dataset = "mnist" }}\nmodel = {{ network = {network} }}'
    )
    with pytest.raises(SettingError, match=r"'model\.network\.chanels'.*model\.network\.channels"):
        load_preset(str(path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimiser.epochs", 0),
        ("optimiser.learning_rate", -1.0),
        ("optimiser.learning_rate", float("nan")),
        ("objective.beta", "much"),
        ("data.dataset", "cifar"),
        ("model.network.hidden", []),
        ("model.latent", 1.5),
    ],
)
def test_the_error_for_an_invalid_value_names_key_expectation_and_value(key: str, value: object):
    with pytest.raises(SettingError) as caught:
        load_preset("lab", {key: value})
    message = str(caught.value)
    assert key.rsplit(".", maxsplit=1)[-1] in message
    assert "should" in message
    assert f"got {value}" in message
    assert "\n" not in message


def test_freezing_the_vae_needs_a_flow_prior():
    with pytest.raises(SettingError, match=r"needs a model\.prior"):
        load_preset("lab", {"objective.freeze_vae_epochs": 3})


@pytest.mark.parametrize(
    "switch", [{"importance_samples": 2}, {"doubly_reparameterised": True}], ids=str
)
def test_free_bits_are_refused_with_losses_that_ignore_them(switch: dict[str, int]):
    with pytest.raises(ValidationError, match="free_bits"):
        Objective(free_bits=0.1, **switch)


FORMER = {
    "objective.moved_share": 0.25,
    "objective.moved_until_epochs": 7,
    "optimiser.average": 0.9,
}


def test_former_names_of_keys_are_accepted_on_the_command_line():
    preset = load_preset("lab", FORMER)
    assert preset.objective.augment_probability == 0.25
    assert preset.objective.augment_until_epoch == 7
    assert preset.optimiser.ema_decay == 0.9


def test_former_names_of_keys_are_accepted_in_a_preset_file(tmp_path: Path):
    path = tmp_path / "old.toml"
    path.write_text(
        'summary = "old"\ndata = { dataset = "mnist" }\n'
        'model = { latent = 4, network = { kind = "mlp" }, prior = { couplings = 2 } }\n'
        "objective = { prior_alone_epochs = 2 }\noptimiser = { average = 0.9 }\n"
    )
    preset = load_preset(str(path))
    assert (preset.objective.freeze_vae_epochs, preset.optimiser.ema_decay) == (2, 0.9)
    path.write_text(path.read_text().replace("prior_alone_epochs = 2", "centred = true"))
    with pytest.raises(SettingError, match="standardise_latents works with neither"):
        load_preset(str(path))


def test_a_key_under_both_of_its_names_is_refused(tmp_path: Path):
    path = tmp_path / "both.toml"
    path.write_text(
        'summary = "both"\ndata = { dataset = "mnist" }\n'
        'model = { latent = 4, network = { kind = "mlp" } }\n'
        "optimiser = { average = 0.9, ema_decay = 0.8 }\n"
    )
    with pytest.raises(SettingError, match="average is the former name of ema_decay"):
        load_preset(str(path))


def test_every_former_name_stands_for_a_key_that_exists():
    preset = load_preset("mnist-flow")
    for key in FORMER_KEYS.values():
        section, _, name = key.partition(".")
        assert hasattr(getattr(preset, section), name)


TEXT = (PRESETS / "lab.toml").read_text()


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r\n").encode(),
    ],
    ids=["mark", "mark and Windows lines", "Windows lines"],
)
def test_a_preset_that_an_editor_of_windows_saved_is_read(tmp_path: Path, content: bytes):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    assert load_preset(str(path)) == load_preset("lab")


def test_a_preset_in_utf_16_is_refused_with_advice(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_bytes(TEXT.encode("utf-16"))
    with pytest.raises(SettingError, match=r"mine\.toml: save it as UTF-8"):
        load_preset(str(path))
