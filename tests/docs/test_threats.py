"""The tests that the threat model names exist."""

import re

from tests.docs.pages import read
from tests.e2e.server import CHECKOUT


def test_every_test_that_the_threat_model_names_exists():
    table = read("SECURITY.md").partition("### Threats")[2].partition("###")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    named = [name for row in rows for name in re.findall(r"`([\w/]+(?:\.py)?)`", row.split("|")[4])]
    assert len(rows) >= 10
    assert len(named) >= 15
    assert [name for name in named if not (CHECKOUT / "tests" / name).exists()] == []
