"""What the pages list is what the code has."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from app.settings import PREFIX, Settings
from model_store.store import SHIPPED, Store
from tests.docs.pages import PAGES, read
from tests.e2e.server import CHECKOUT, run

OF_OTHERS = {
    *("ZSERVE_DATA_DIR", "ZSERVE_RUNS", "ZSERVE_URL"),
}
"""Variables that are not settings of the service: of training, and of the client."""


def test_the_http_reference_and_the_settings_are_those_of_the_code():
    done = run("-m", "scripts.write_docs", "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_that_a_page_names_is_read(page: str):
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert (
        set(re.findall(r"ZSERVE_[A-Z0-9_]+\b(?!\*)", read(page))) - {"ZSERVE_"} <= known | OF_OTHERS
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str):
    for target in links(page):
        path, _, anchor = target.partition("#")
        if re.match(r"https?:", target):
            continue
        there = (CHECKOUT / page).parent / path if path else CHECKOUT / page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES)
def test_every_model_that_a_page_calls_shipped_is(page: str):
    for name, version in re.findall(r"`(mnist|lab|digits|notebook)@(\d+)`", read(page)):
        assert int(version) in Store(SHIPPED).versions(name)


def links(page: str) -> list[str]:
    """Targets of links and pictures."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(read(page)):
        for child in token.children or ():
            target = child.attrs.get("href") or child.attrs.get("src")
            if target:
                found.append(str(target))
    return found


def anchors(path: Path) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}
