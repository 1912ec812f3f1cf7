"""An address that asks for something impossible: the page says what it shows instead."""

import pytest
from playwright.sync_api import expect

from tests.page.visitor import Visitor

IMPOSSIBLE = [
    ("generate", "n", "9999", "a whole number from 1 to 256", "n=16 is used instead"),
    ("generate", "seed", "-1", "a whole number from 0 to 4294967295", "seed=1 is used instead"),
    ("generate", "temperature", "hot", "a number from 0 to 10", "temperature=1 is used instead"),
    ("interpolate", "a", "seed:x", "seed: and a whole number", "a=seed:50 is used instead"),
    ("interpolate", "b", "png:x", "or png: and a PNG", "b=seed:31 is used instead"),
    ("interpolate", "steps", "1", "a whole number from 2 to 64", "steps=16 is used instead"),
    ("interpolate", "path", "zigzag", "linear or slerp", "path=slerp is used instead"),
    ("interpolate", "t", "2", "a number from 0 to 1", "t=0.5 is used instead"),
    ("traverse", "seed", "1.5", "a whole number", "seed=33 is used instead"),
    ("traverse", "steps", "26", "a whole number from 3 to 25", "steps=9 is used instead"),
    ("traverse", "span", "0", "a number from 0.5 to 10", "span=3 is used instead"),
    ("traverse", "rows", "columns", "dimensions or directions", "rows=dimensions is used instead"),
    ("map", "x", "-1", "a whole number from 0", "Another dimension is used instead."),
    ("map", "seed", "x", "a whole number from 0", "The plane lies around 0 instead."),
    ("map", "at", "here", "two numbers with a comma", "The first place of the plane is used"),
    ("map", "view", "1,2", "three numbers with commas", "The first view is shown instead."),
    ("learn", "at", "40", "a whole number from 0 to 31", "The last snapshot is shown instead."),
    ("compare", "other", ",", "at most 3 versions", "The page chose the other versions instead."),
    ("scenes", "list", "!", "scenes, one in a line", "The scenes of this browser are shown"),
    ("scenes", "at", "0", "a whole number from 1", "The list of the scenes is shown instead"),
]

PACKED = [
    ("home?image=banana", "image", "a PNG", "The diagram begins with an image of its own instead."),
    ("draw?image=banana", "image", "a PNG", "The canvas is empty instead."),
    ("compare?image=banana", "image", "a PNG", "It was left out."),
    ("traverse?z=!&seed=5", "z", "numbers as this", "The z of seed 5 is used instead."),
    ("map?z=!", "z", "numbers as this", "The plane lies around 0 instead."),
    ("map?z=!&seed=5", "z", "numbers as this", "The plane lies around the z of seed 5 instead."),
]


@pytest.mark.parametrize(("state", "name", "accepts", "instead"), PACKED)
def test_the_page_does_not_repeat_a_text_that_nobody_can_read(
    visitor: Visitor, state: str, name: str, accepts: str, instead: str
) -> None:
    part, _, query = state.partition("?")
    visitor.open(f"#{part}?model=lab@4&{query}")
    notice = visitor.page.locator("#notice")
    expect(notice).to_contain_text(f"{name} cannot be shown: {name} must be {accepts}")
    expect(notice).to_contain_text(instead)


@pytest.mark.parametrize("case", IMPOSSIBLE, ids=[f"{case[0]}-{case[1]}" for case in IMPOSSIBLE])
def test_the_page_says_what_it_shows_instead_of_an_impossible_value(
    visitor: Visitor, case: tuple[str, str, str, str, str]
) -> None:
    part, name, value, accepts, instead = case
    visitor.open(f"#{part}?model=lab@4&{name}={value}")
    notice = visitor.page.locator("#notice")
    expect(notice).to_contain_text(f"{name}={value} cannot be shown: {name} must be ")
    expect(notice).to_contain_text(accepts)
    expect(notice).to_contain_text(instead)


MISFITS = [
    (
        "#generate?model=mnist@11&label=banana",
        (
            "label=banana cannot be shown: mnist@11 has no class banana, only 0, 1, 2, 3, 4, 5, 6, 7, 8, 9. "
            "Images of any class are shown instead."
        ),
    ),
    (
        "#generate?model=zcolour@2&label=7",
        "label=7 cannot be shown: zcolour@2 has no class 7. Images of any class are shown instead.",
    ),
    (
        "#traverse?model=lab@4&z=AAAAAAAAAAA",
        (
            "z cannot be shown: a z of lab@4 has 20 numbers, and this one has 2. "
            "The z of seed 33 is used instead."
        ),
    ),
    (
        "#traverse?model=zcolour@2&rows=directions",
        (
            "rows=directions cannot be shown: zcolour@2 has no directions. "
            "rows=dimensions is used instead."
        ),
    ),
    (
        "#map?model=notebook@3&x=40",
        (
            "x=40 cannot be shown: notebook@3 has no dimension 40, only 0 to 1. "
            "Another dimension is used instead."
        ),
    ),
    (
        "#map?model=zmapped@1&x=2&y=2",
        (
            "y=2 cannot be shown: a plane needs two dimensions, and 2 was named twice. "
            "Another dimension is used instead."
        ),
    ),
    (
        "#map?model=zmapped@1&plane=classes&from=9&to=9",
        (
            "to=9 cannot be shown: a plane needs two classes, and 9 was named twice. "
            "Another class is used instead."
        ),
    ),
    (
        "#map?model=zmapped@1&only=banana",
        (
            "only=banana cannot be shown: zmapped@1 has no class banana. "
            "The points of all classes are shown instead."
        ),
    ),
    (
        "#map?model=notebook@3&plane=seeds",
        (
            "plane=seeds cannot be shown: notebook@3 has two dimensions, which the map shows whole. "
            "plane=dimensions is used instead."
        ),
    ),
    (
        "#map?model=zmoving@1&layer=points",
        (
            "layer=points cannot be shown: zmoving@1 was published without latents of test images. "
            "Pictures are shown instead."
        ),
    ),
    (
        "#map?model=zmapped@1&at=500,0",
        "at=500,0 cannot be shown: it is too far away from the plane's first view. at=",
    ),
    (
        "#map?model=zmapped@1&view=0,0,1e9",
        (
            "view=0,0,1000000000 cannot be shown: it is too far away from the plane's first view. "
            "The first view is shown instead."
        ),
    ),
    ("#map?model=zmapped@1&view=0,0,1e-9", "view=0,0,1e-9 cannot be shown"),
    (
        "#compare?model=lab@4&other=nothing@1&n=4",
        (
            "other=nothing@1 cannot be shown: there is no model named nothing. "
            "The page chose the other versions instead."
        ),
    ),
    (
        "#compare?model=lab@4&other=lab@77&n=4",
        (
            "other=lab@77 cannot be shown: lab has no version 77. "
            "The page chose the other versions instead."
        ),
    ),
    (
        "#compare?model=lab@4&other=digits@4&n=4&against=3",
        "against=3 cannot be shown: there is one other version. against=1 is used instead.",
    ),
    (
        "#learn?model=zbeta-1@1&at=30",
        "at=30 cannot be shown: zbeta-1@1 has the snapshots 0 to 4. The last one is shown instead.",
    ),
    (
        "#learn?model=zbeta-1@1&beta=10",
        "beta=10 cannot be shown: zbeta-1@1 is selected. It was left out.",
    ),
    (
        "#learn?model=lab@4&family=banana",
        (
            "family=banana cannot be shown: there is no family of models named banana. "
            "The page chose what to show instead."
        ),
    ),
    ("#learn?model=lab@4&family=zbetas&beta=0.5", "the family zbetas has no such model. beta="),
    (
        "#learn?model=lab@4&beta=77",
        (
            "beta=77 cannot be shown: no model here was trained with beta 77. "
            "The page chose a beta instead."
        ),
    ),
    (
        "#generate?model=lab@4&n=4&colour=red",
        "colour=red was ignored: this part has no setting of that name.",
    ),
    ("#paint?model=lab@4", "This page has no part named paint. Home is shown instead."),
]
"""Addresses that ask for what does not exist, and what the page says about them."""


@pytest.mark.parametrize(("state", "words"), MISFITS, ids=[case[0] for case in MISFITS])
def test_the_page_says_what_the_model_or_the_page_does_not_have(
    visitor: Visitor, state: str, words: str
) -> None:
    visitor.open(state)
    expect(visitor.page.locator("#notice")).to_contain_text(words)
    assert visitor.page.get_by_role("alert").is_hidden()


def test_the_address_becomes_that_of_what_is_shown(visitor: Visitor) -> None:
    visitor.open("#generate?model=mnist@11&n=4&label=banana")
    assert "label" not in visitor.state
    assert visitor.tiles.count() == 4


def test_what_only_the_part_can_know_is_replaced_in_the_address_too(visitor: Visitor) -> None:
    visitor.open("#learn?model=zbeta-1@1&at=30")
    assert "at=" not in visitor.state
    expect(visitor.shown.get_by_role("slider", name="Time")).to_have_value("4")
    visitor.open("#map?model=zmapped@1&at=500,0&view=0,0,1e9")
    assert "at=" not in visitor.state
    assert "view=" not in visitor.state
    notice = visitor.page.locator("#notice")
    expect(notice.locator("p")).to_have_count(2)


def test_a_place_beside_the_first_view_is_in_view(visitor: Visitor) -> None:
    visitor.open("#map?model=zmapped@1&at=7,0&span=3")
    board = visitor.shown.locator(".board").bounding_box()
    cross = visitor.shown.locator(".cross").bounding_box()
    assert board
    assert cross
    middle = cross["x"] + cross["width"] / 2
    assert board["x"] <= middle <= board["x"] + board["width"]
    assert "at=7,0" in visitor.state
    assert visitor.page.locator("#notice").is_hidden()


def test_the_word_goes_when_it_is_closed_and_when_something_else_is_shown(visitor: Visitor) -> None:
    notice = visitor.page.locator("#notice")
    for close in (lambda: visitor.click("Close", "#notice"), lambda: visitor.click("New samples")):
        visitor.open("#generate?n=0")
        expect(notice).to_be_visible()
        close()
        expect(notice).to_be_hidden()


def test_a_change_of_the_model_says_which_setting_it_ended(visitor: Visitor) -> None:
    visitor.open("#generate?model=mnist@11&n=4&label=3")
    visitor.page.get_by_label("Model", exact=True).select_option("zcolour")
    expect(visitor.page.locator("#notice")).to_contain_text("zcolour@1 has no class 3.")
