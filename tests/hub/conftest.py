from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.server import FakeHub, hub_server


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """Serve an empty hub, to which the client of the hub goes in this process and its children."""
    with hub_server() as hub:
        from huggingface_hub import constants

        # The client reads its variables when it is imported; its large files go through a protocol
        # of its own (Xet) unless that is switched off.
        template = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        for name, value in (
            ("HF_ENDPOINT", hub.address),
            ("HF_HUB_DISABLE_XET", "1"),
            ("HF_HOME", str(tmp_path / "hf")),
            ("HF_TOKEN", "secret"),
        ):
            monkeypatch.setenv(name, value)
        yield hub
