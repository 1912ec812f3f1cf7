"""Classes that a sentence names."""

import pytest

from app.errors import ParameterError
from app.prompts import classes_named

DIGITS = tuple("0123456789")
FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
LETTERS = (*DIGITS, *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *"abdefghnqrt")


def names(prompt: str, classes: tuple[str, ...]) -> list[str]:
    return [classes[i] for i in classes_named(prompt, classes, "mnist@11")]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("7", ["7"]),
        ("  7. ", ["7"]),
        ("Seven", ["7"]),
        ("a seven", ["7"]),
        ("please draw some sevens and sixes!", ["7", "6"]),
        ("a 3, a 1 and another 3", ["3", "1"]),
        ("zero", ["0"]),
        ("random", []),
        ("Surprise me!", []),
    ],
)
def test_digits_are_named_by_figures_and_by_words(prompt: str, expected: list[str]):
    assert names(prompt, DIGITS) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("sneaker", ["Sneaker"]),
        ("two pairs of SNEAKERS", ["Sneaker"]),
        ("a t-shirt", ["T-shirt/top"]),
        ("a t-shirt/top", ["T-shirt/top"]),
        ("a shirt, not the t-shirt", ["Shirt", "T-shirt/top"]),
        ("an ankle  boot and dresses", ["Ankle boot", "Dress"]),
        ("ankle\nboots", ["Ankle boot"]),
    ],
)
def test_names_are_found_with_parts_plurals_and_in_any_case(prompt: str, expected: list[str]):
    assert names(prompt, FASHION) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Q", ["Q"]),
        ("q", ["q"]),
        ("draw a B and a b", ["B", "b"]),
        ("draw a z", ["Z"]),
        ("a", ["a"]),
        ("draw the letter 'a'", ["a"]),
        ('I want an "I"', ["I"]),
    ],
)
def test_the_case_of_a_letter_counts_and_articles_are_no_letters(prompt: str, expected: list[str]):
    assert names(prompt, LETTERS) == expected


@pytest.mark.parametrize("prompt", ["a cat", "", "42", "shirtless", "draw a", "\x00" * 9])
def test_a_prompt_without_a_class_is_answered_with_the_classes(prompt: str):
    with pytest.raises(ParameterError) as error:
        classes_named(prompt, (*DIGITS, "Shirt"), "mnist@11")
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, Shirt" in str(error.value)
    assert "`random`" in str(error.value.remedy)


def test_a_model_without_classes_draws_at_random_only():
    assert classes_named("random", (), "mnist@11") == ()
    with pytest.raises(ParameterError, match="has no classes"):
        classes_named("7", (), "mnist@11")


def test_a_long_list_of_classes_is_cut():
    with pytest.raises(ParameterError, match="c99 and 400 more"):
        classes_named("cat", tuple(f"c{i}" for i in range(500)), "mnist@11")
