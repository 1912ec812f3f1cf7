import re

import pytest

from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store

SHIPPED_STORE = Store(SHIPPED)
README = (SHIPPED / "README.md").read_text()
ROW = re.compile(r"^\| `([a-z@0-9.-]+)` \| .* \| (\d+) \| ([0-9.]+) \|$", re.MULTILINE)


def test_one_version_of_each_model_ships():
    assert all(len(SHIPPED_STORE.versions(name)) == 1 for name in SHIPPED_STORE.names())


@pytest.mark.parametrize("name", SHIPPED_STORE.names())
def test_every_shipped_version_is_sound(name: str):
    SHIPPED_STORE.verify(ModelRef(name=name))


@pytest.mark.parametrize("name", SHIPPED_STORE.names())
def test_every_shipped_version_can_warn_of_uploads_that_are_unlike_its_data(name: str):
    stored = SHIPPED_STORE.load(ModelRef(name=name))
    assert stored.typicality is not None
    assert stored.typicality.limit > 0


def test_the_readme_lists_the_shipped_versions_with_their_numbers():
    stated = {ref: (int(latent), float(value)) for ref, latent, value in ROW.findall(README)}
    manifests = [SHIPPED_STORE.manifest(ModelRef(name=name)) for name in SHIPPED_STORE.names()]
    assert stated == {
        str(manifest.ref): (
            manifest.spec.latent,
            round(manifest.metrics["test_negative_elbo"].value, 2),
        )
        for manifest in manifests
    }
