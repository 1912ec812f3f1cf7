from collections.abc import Iterator

import pytest

from tests.object_store.fault_proxy import FaultProxy, fault_proxy
from tests.object_store.server import running_server


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """Let all clients reach the server through a proxy."""
    server = running_server()
    with fault_proxy(server.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        yield proxy


@pytest.fixture
def address() -> str:
    """Return an address in the server under which there is nothing."""
    return running_server().new_address()
