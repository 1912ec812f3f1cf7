"""References and specs refuse what they should, and say so."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from model_store.errors import InvalidReferenceError
from model_store.spec import Conv, ModelRef, ModelSpec
from tests.unit.models import TINY


@pytest.mark.parametrize(
    ("text", "version", "alias"),
    [("mnist", None, "production"), ("mnist@12", 12, None), ("mnist@canary", None, "canary")],
)
def test_a_reference_is_a_name_with_a_version_or_an_alias(
    text: str, version: int | None, alias: str | None
):
    assert ModelRef.parse(text) == ModelRef(name="mnist", version=version, alias=alias)


@pytest.mark.parametrize(
    "text",
    ["", "@1", "mnist@", "mnist@0", "mnist@-1", "mnist@1.5", "mnist@01", "a@b@c", "../etc",
     "..", ".hidden", "a/b", "a\\b", "Mnist", "mnist\n", "mnist@1\n", "mnist@" + "9" * 10, "m" * 64,
     "mnist@\N{ARABIC-INDIC DIGIT ONE}", "mnist\0"],
)  # fmt: skip
def test_a_reference_that_is_not_one_is_refused_with_an_example(text: str):
    with pytest.raises(InvalidReferenceError, match="write name, name@version or name@alias"):
        ModelRef.parse(text)


@given(st.text())
def test_any_text_is_a_reference_or_refused_as_one(text: str):
    try:
        ref = ModelRef.parse(text)
    except InvalidReferenceError:
        return
    assert ModelRef.parse(str(ref)) == ref


def test_a_spec_survives_json():
    assert ModelSpec.model_validate_json(TINY.model_dump_json()) == TINY


def test_a_spec_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        TINY.latent = 7  # type: ignore[misc]


def test_convolutions_that_would_leave_nothing_of_the_image_are_refused():
    with pytest.raises(ValidationError, match="5 stride-2 convolutions leave nothing of an image"):
        ModelSpec(network=Conv(channels=(8,) * 5), latent=2)


@pytest.mark.parametrize(("kernel", "sizes"), [(3, (28, 14, 7, 4, 2)), (4, (28, 14, 7, 3, 1))])
def test_kernel_three_halves_upwards_and_kernel_four_downwards(
    kernel: Literal[3, 4], sizes: tuple[int, ...]
):
    assert Conv(channels=(8,) * 4, kernel=kernel).sizes(28) == sizes
