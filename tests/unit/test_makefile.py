import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):(?!=)", MAKEFILE, flags=re.MULTILINE))
PAGES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / ".github").rglob("*.yml"))]


def test_every_target_that_is_no_file_is_phony():
    phony = {
        name
        for line in re.findall(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
        for name in line.split()
    }
    assert {"check", "docs", "fast", "test"} <= TARGETS
    assert phony == TARGETS


def test_every_target_but_one_explains_itself_in_make_help():
    explained = set(re.findall(r"^([a-z][a-z-]*):.* ## \S", MAKEFILE, flags=re.MULTILINE))
    assert TARGETS - explained == {"always"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_targets_that_exist(page: Path):
    used = re.findall(r"(?:run: |`|^    )make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
    assert set(used) <= TARGETS
