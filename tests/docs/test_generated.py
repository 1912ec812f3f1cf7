"""The pages list the settings, calls and models that the code has."""

import re

import pytest

from app.settings import PREFIX, Settings
from model_store.store import SHIPPED, Store
from tests.docs.pages import PAGES, read
from tests.e2e.server import run

OF_OTHERS = {
    *("ZSERVE_DATA_DIR", "ZSERVE_RUNS", "ZSERVE_URL", "ZSERVE_TOKEN"),
}
"""Variables of training and of the client, which are not settings of the service."""


def test_the_http_reference_and_the_settings_are_those_of_the_code():
    done = run("-m", "scripts.write_docs", "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_that_a_page_names_is_read(page: str):
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert (
        set(re.findall(r"ZSERVE_[A-Z0-9_]+\b(?!\*)", read(page))) - {"ZSERVE_"} <= known | OF_OTHERS
    )


LOG = "docs/experiments.md"
"""The log of experiments names versions that were superseded and are not shipped any more."""


@pytest.mark.parametrize("page", [page for page in PAGES if page != LOG])
def test_every_model_that_a_page_calls_shipped_is(page: str):
    for name, version in re.findall(
        r"`(mnist|mnist-flow|mnist-gaussian|fashion|fashion-flow|faces|letters|lab|digits|notebook)@(\d+)`",
        read(page),
    ):
        assert int(version) in Store(SHIPPED).versions(name)
