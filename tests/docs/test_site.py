"""The configuration of the documentation site names the pages that exist."""

import tomllib
from collections.abc import Iterator

from scripts.build_docs_site import ROOT, linked_files, pages, with_plain_fences
from tests.docs.pages import ALL_PAGES, DECISIONS, read

CONFIGURATION = "docs/zensical.toml"
LISTED_BY_AN_INDEX = (f"{DECISIONS}/0", "benchmarks/results/2")


def test_the_navigation_lists_every_page_but_those_with_an_index():
    staged = {page.relative_to(ROOT).as_posix() for page in pages()}
    assert {page for page in ALL_PAGES if page.startswith("docs/")} <= staged
    navigation = list(_leaves(tomllib.loads(read(CONFIGURATION))["project"]["nav"]))
    assert sorted(navigation) == sorted(p for p in staged if not p.startswith(LISTED_BY_AN_INDEX))


def test_the_pictures_of_a_page_are_found():
    assert ROOT / "weights/mnist/11/samples.png" in set(linked_files(ROOT / "README.md"))


def _leaves(entries: object) -> Iterator[str]:
    if isinstance(entries, str):
        yield entries
    elif isinstance(entries, dict):
        for entry in entries.values():
            yield from _leaves(entry)
    elif isinstance(entries, list):
        for entry in entries:
            yield from _leaves(entry)


def test_what_tests_read_after_the_language_of_a_block_is_not_on_the_site() -> None:
    page = "```sh serve\nmake serve\n```\n\n```python\nx = 1\n```\n"
    assert with_plain_fences(page) == page.replace("sh serve", "sh")
