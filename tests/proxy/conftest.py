"""A service with the shipped models behind a real nginx, and a Chromium that may reach only that."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from model_store.store import SHIPPED
from tests.e2e.server import serving
from tests.page.conftest import browser, browsers
from tests.proxy.nginx import NGINX, OPENSSL, proxying, write_certificate

__all__ = ["browser", "browsers"]

TOKEN = "token"


@pytest.fixture(scope="package")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if NGINX is None or OPENSSL is None:
        pytest.skip("nginx or openssl is not installed; make test-proxy installs both")
    return write_certificate(tmp_path_factory.mktemp("proxy"))


@pytest.fixture(scope="package")
def address(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the https address of the service under its prefix."""
    folder = tmp_path_factory.mktemp("service")
    store = folder / "store"
    for name in ("mnist", "lab"):
        shutil.copytree(SHIPPED / name, store / name)
    variables = {"ZSERVE_TRUSTED_PROXIES": "127.0.0.1", "ZSERVE_ADMIN_TOKEN": TOKEN}
    with (
        serving(store, folder / "server.log", **variables) as upstream,
        proxying(urlsplit(upstream).netloc, certificate.parent) as outside,
    ):
        yield outside


@pytest.fixture
def http(
    address: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    """Return a client of the service that trusts the certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client
