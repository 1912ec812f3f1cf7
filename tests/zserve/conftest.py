from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from model_store.store import SHIPPED
from tests.api.service import (
    Service,
    publish,
    publish_labelled,
    publish_labelled_before_a_flow,
    publish_moving,
    started,
)
from tests.unit.exact_versions import publish_exact


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish float and exact versions, with and without flow, classes, directions and colours."""
    root = tmp_path_factory.mktemp("store")
    publish(root, "plain")
    publish_labelled(root, "labelled")
    publish_labelled_before_a_flow(root, "flow")
    publish_moving(root, "moving")
    publish_exact(root, "exact", "conv")
    publish_exact(root, "exact-flow", "flow")
    return root


@pytest.fixture(scope="session")
def service(tiny: Path) -> Iterator[Service]:
    settings = Settings(
        store=tiny, model="plain", device="cpu", log_requests=False, max_loaded_models=16
    )
    with started(settings) as service:
        yield service


@pytest.fixture(scope="session")
def shipped() -> Iterator[Service]:
    settings = Settings(store=SHIPPED, device="cpu", log_requests=False)
    with started(settings) as service:
        yield service
