"""Requests that schemathesis makes from /openapi.json never cause an answer that is not described."""

import re
import shutil
from pathlib import Path

import pytest

from model_store.store import SHIPPED
from tests.contract.environment import program, run
from tests.e2e.server import serving

EXAMPLES = 15
"""Generated requests for each operation, besides a few hundred that cover its parameters."""


@pytest.mark.contract
def test_schemathesis_finds_no_answer_that_is_not_described(tmp_path: Path) -> None:
    store = tmp_path / "store"  # a copy, because promotions change it
    for name in ("mnist", "notebook"):
        shutil.copytree(SHIPPED / name, store / name)
    with serving(store, tmp_path / "log", ZSERVE_ADMIN_TOKEN="secret") as url:
        start = ["run", f"{url}/openapi.json", "--no-color"]
        # A description cannot say that z needs as many numbers as the model has dimensions.
        checks = ["--exclude-checks", "positive_data_acceptance"]
        amount = ["--max-examples", str(EXAMPLES), "--generation-deterministic"]
        phases = ["--phases", "examples,coverage,fuzzing", "--continue-on-failure"]
        token = ["--header", "Authorization: Bearer secret"]
        report = run([program("schemathesis"), *start, *checks, *amount, *phases, *token], tmp_path)
    passed = re.search(r"generated, (\d+) passed", report)
    assert passed is not None
    assert int(passed[1]) > 1000, report[-4000:]
