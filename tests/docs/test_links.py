"""Links between the pages lead to files and headings that exist, and named modules exist."""

import re

import pytest

from tests.docs.pages import ALL_PAGES, DECISIONS, anchors, links, read
from tests.e2e.server import CHECKOUT

NAMES_MODULES = [page for page in ALL_PAGES if page.startswith((DECISIONS, "docs/find-it"))]


@pytest.mark.parametrize("page", ALL_PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str):
    for target in links(page):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        there = ((CHECKOUT / page).parent / path).resolve() if path else CHECKOUT / page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.relative_to(CHECKOUT).as_posix()), target


def test_every_page_of_docs_can_be_reached_from_the_readme():
    reached, waiting = set[str](), ["README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in links(page):
            path = ((CHECKOUT / page).parent / target.partition("#")[0]).resolve()
            if path.suffix == ".md" and path.exists():
                waiting.append(path.relative_to(CHECKOUT).as_posix())
    assert {page for page in ALL_PAGES if page.startswith("docs/")} <= reached


@pytest.mark.parametrize("page", NAMES_MODULES)
def test_every_module_that_a_page_names_exists(page: str):
    for module in re.findall(r"`((?:\w+/)+\w+\.py)`", read(page)):
        assert (CHECKOUT / module).is_file(), module
