import pytest
from pydantic import ValidationError

from training.config import Objective, Optimiser, load_preset, parse_overrides, preset_names
from training.errors import PresetNotFoundError, SettingError


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_says_what_it_is_in_one_line(name: str):
    summary = load_preset(name).summary
    assert summary
    assert "\n" not in summary


def test_lab_is_the_vae_of_the_tutorials():
    lab = load_preset("lab")
    assert lab.model.network.model_dump() == {"kind": "mlp", "hidden": (400,)}
    assert (lab.model.latent, lab.model.likelihood) == (20, "bernoulli")
    assert lab.optimiser == Optimiser(name="adam", learning_rate=1e-3, batch_size=128, epochs=10)
    assert lab.objective == Objective(beta=1.0, targets="grey")


def test_a_preset_cannot_be_changed_after_it_was_validated():
    with pytest.raises(ValidationError):
        load_preset("lab").summary = "another"  # type: ignore[misc]


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(PresetNotFoundError, match=r"no preset 'lob'; there are: .*lab"):
        load_preset("lob")


def test_a_preset_outside_of_the_folder_is_unknown():
    with pytest.raises(PresetNotFoundError):
        load_preset("../presets/lab")


def test_dotted_keys_replace_what_the_preset_says_and_nothing_else():
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
def test_values_are_toml(text: str, value: object):
    assert parse_overrides([f"key={text}"]) == {"key": value}


def test_a_bare_word_needs_no_quotes_against_the_shell():
    assert parse_overrides(["data.dataset=fashion-mnist"]) == {"data.dataset": "fashion-mnist"}


@pytest.mark.parametrize("text", ["optimiser.epochs", "=3", "epochs=", "epochs=[1", "a=1\nb=2"])
def test_what_is_no_assignment_is_refused_with_an_example(text: str):
    with pytest.raises(SettingError, match="such as"):
        parse_overrides([text])


@pytest.mark.parametrize(
    "key", ["epochs", "optimiser", "optimiser.epoch", "optimiser.epochs.x", "model.network.depth"]
)
def test_an_unknown_key_names_the_known_ones(key: str):
    with pytest.raises(SettingError, match=r"there are: .*optimiser\.epochs"):
        load_preset("lab", {key: 1})


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
def test_a_bad_value_names_key_expectation_and_value_in_one_line(key: str, value: object):
    with pytest.raises(SettingError) as caught:
        load_preset("lab", {key: value})
    message = str(caught.value)
    assert key.rsplit(".", maxsplit=1)[-1] in message
    assert "should" in message
    assert f"got {value}" in message
    assert "\n" not in message


def test_a_prior_cannot_learn_alone_where_it_is_n_0_i():
    with pytest.raises(SettingError, match=r"need a model\.prior"):
        load_preset("lab", {"objective.prior_alone_epochs": 3})


@pytest.mark.parametrize(
    "switch", [{"importance_samples": 2}, {"doubly_reparameterised": True}], ids=str
)
def test_free_bits_are_refused_where_they_would_be_left_out(switch: dict[str, int]):
    with pytest.raises(ValidationError, match="free_bits"):
        Objective(free_bits=0.1, **switch)
