from collections.abc import Iterator

import pytest

from tests.object_store.fault_proxy import FaultProxy, fault_proxy
from tests.object_store.server import SCHEMES, Server, running_server


@pytest.fixture(params=SCHEMES)
def server(request: pytest.FixtureRequest) -> Server:
    """A server of each kind."""
    return running_server(request.param)


@pytest.fixture
def proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """Let all clients reach the server through a proxy."""
    with fault_proxy(server.port) as proxy:
        for name, value in server.environment(proxy.port).items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture
def address(server: Server) -> str:
    """Return an address in the server under which there is nothing."""
    return server.new_address()
