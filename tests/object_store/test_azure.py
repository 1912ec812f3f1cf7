"""Ways to name the account and its credentials on Azure, with Azurite as the server."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from model_store.errors import StoreAccessError
from model_store.spec import ModelRef
from model_store.store import open_store
from tests.object_store.server import Azurite, Server, running_server
from tests.unit.exact_versions import publish_exact

pytestmark = pytest.mark.objects


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server of which no variable tells anything."""
    server = running_server("az")
    for name in server.environment(server.port):
        monkeypatch.delenv(name)
    return server


def signature(permissions: str) -> str:
    """Return a shared access signature for the container and its objects."""
    expiry = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    version, resource = "2021-12-02", f"/blob/{Azurite.account}/models"
    fields = [permissions, "", expiry, resource, "", "", "", version, "c", *[""] * 7]
    digest = hmac.digest(base64.b64decode(Azurite.key), "\n".join(fields).encode(), hashlib.sha256)
    parameters = {"sp": permissions, "se": expiry, "sv": version, "sr": "c"}
    return urlencode(parameters | {"sig": base64.b64encode(digest).decode()})


def variables(server: Server, kind: str) -> dict[str, str]:
    endpoint = f"http://127.0.0.1:{server.port}"
    if kind == "emulator":
        return {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": endpoint}
    return {
        "AZURE_STORAGE_ENDPOINT": f"{endpoint}/{Azurite.account}",
        "AZURE_STORAGE_ACCOUNT_NAME": Azurite.account,
        "AZURE_STORAGE_SAS_TOKEN": signature("rwdlac"),
    }


@pytest.mark.parametrize("kind", ["emulator", "signature"])
def test_a_store_works_with_other_credentials_than_the_key(
    server: Server, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in variables(server, kind).items():
        monkeypatch.setenv(name, value)
    publish_exact(tmp_path)
    source, store = open_store(tmp_path), open_store(server.new_address())
    for _ in range(2):
        source.copy(ModelRef.parse("exact@1"), into=store)
    store.set_alias("exact", "production", 2)
    store.remove(ModelRef.parse("exact@1"))
    assert store.versions("exact") == (2,)
    assert store.verify(ModelRef.parse("exact")).version == 2


def test_a_signature_that_permits_less_is_named(server: Server, monkeypatch: pytest.MonkeyPatch):
    for name, value in variables(server, "signature").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", signature("r"))
    with pytest.raises(StoreAccessError, match="the credentials are refused"):
        open_store(server.new_address()).names()
