"""The JSON schema by which editors complete and check presets."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from scripts.write_preset_schema import PATH, schema
from tests.e2e.server import CHECKOUT
from training.config import PRESETS, Preset

SCHEMA = json.loads(schema())
LAB = tomllib.loads((PRESETS / "lab.toml").read_text())


def problems(preset: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return [error.message for error in validator.iter_errors(preset)]


def test_the_file_is_that_of_the_code():
    assert PATH.read_text() == schema()
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_preset_fits(path: Path):
    assert problems(tomllib.loads(path.read_text())) == []


@pytest.mark.parametrize(
    ("section", "changes", "words"),
    [
        ("optimiser", {"learning_rat": 1e-3}, "'learning_rat' was unexpected"),
        ("optimiser", {"name": "sgd"}, "'sgd' is not one of ['adam', 'adamw']"),
        ("optimiser", {"epochs": 0}, "0 is less than or equal to the minimum of 0"),
        ("data", {"dataset": "cifar"}, "'cifar' is not one of"),
        ("model", {"network": {"kind": "transformer"}}, "transformer"),
    ],
)
def test_what_training_refuses_is_marked(section: str, changes: dict[str, Any], words: str):
    wrong = LAB | {section: LAB[section] | changes}
    assert any(words in problem for problem in problems(wrong))
    with pytest.raises(ValueError, match=r"."):
        Preset.model_validate(wrong)


def test_former_names_of_keys_are_accepted_as_by_training():
    former = LAB | {"objective": {"prior_alone_epochs": 0, "centred": False}}
    assert problems(former) == []
    assert Preset.model_validate(former).objective.standardise_latents is False


def test_the_sections_describe_their_keys():
    free_bits = SCHEMA["$defs"]["Objective"]["properties"]["free_bits"]
    assert free_bits["description"].startswith("Nats of KL per latent dimension")


def test_editors_find_the_schema():
    rules = tomllib.loads((CHECKOUT / ".taplo.toml").read_text())["rule"]
    assert (CHECKOUT / rules[0]["schema"]["path"]) == PATH
