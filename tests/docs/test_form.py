"""Lengths and headings that pages of the documentation keep to."""

import pytest

from tests.docs.pages import ALL_PAGES, DECISIONS, headings, links, read

README_LINES = 120
DECISION_LINES = 60
DECISION_HEADINGS = ["Status", "Context", "Decision", "Consequences", "When to look again"]
INDEX = f"{DECISIONS}/README.md"
RECORDS = [page for page in ALL_PAGES if page.startswith(f"{DECISIONS}/") and page != INDEX]


def test_the_readme_is_short():
    assert len(read("README.md").splitlines()) <= README_LINES


@pytest.mark.parametrize("page", RECORDS)
def test_a_decision_is_short_and_has_the_five_headings(page: str):
    title, *sections = headings(page)
    assert title.startswith(f"{page.removeprefix(f'{DECISIONS}/')[:4]}. ")
    assert sections == DECISION_HEADINGS
    assert len(read(page).splitlines()) <= DECISION_LINES


def test_decisions_are_numbered_without_gaps():
    numbers = [int(page.removeprefix(f"{DECISIONS}/")[:4]) for page in RECORDS]
    assert numbers == list(range(1, len(RECORDS) + 1))


def test_the_index_lists_every_decision_once_with_its_title():
    listed = [target for target in links(INDEX) if target[:4].isdigit()]
    assert listed == [page.removeprefix(f"{DECISIONS}/") for page in RECORDS]
    for page in RECORDS:
        assert f"| {headings(page)[0].partition('. ')[2]} |" in read(INDEX)
