"""API keys with two real workers, whose keys are rotated while they serve."""

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.access.api_keys import add_key
from model_store.store import SHIPPED
from tests.api.service import digit
from tests.e2e.server import run, serving
from zserve_client import Client, ForbiddenError

CONTEXT = ssl.create_default_context()
"""Shared by all connections, since reading certificates takes long."""
REQUESTS = 12
"""Requests on connections of their own, so that both workers get some."""


def statuses(url: str, secret: str | None) -> set[int]:
    """Return the statuses of requests with a key, each on a connection of its own."""
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
    return {
        httpx.get(f"{url}/generate?n=1&seed=1", headers=headers, verify=CONTEXT).status_code
        for _ in range(REQUESTS)
    }


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the workers did not notice the change"
        time.sleep(0.2)


def test_keys_are_rotated_in_all_workers_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys.toml"
    old = add_key(keys, "old", frozenset({"generate"}))
    variables = {
        "ZSERVE_MODEL": "lab",
        "ZSERVE_API_KEYS": str(keys),
        "ZSERVE_WORKERS": "2",
        "ZSERVE_DEVICE": "cpu",
        "ZSERVE_TOKEN_RATE_LIMIT": "100000/second",
    }
    log = tmp_path / "server.log"
    with serving(SHIPPED, log, **variables) as url:
        assert statuses(url, old) == {200}
        assert statuses(url, None) == {401}
        with Client(url, token=old, retries=0) as client, pytest.raises(ForbiddenError) as refused:
            client.reconstruct(digit())
        assert refused.value.type == "missing-scope"
        command = run("-m", "zserve_client", "models", "--url", url)
        assert command.returncode == 0, command.stderr  # the list of models is public
        samples = ("-m", "zserve_client", "generate", "--n", "1", "--out", tmp_path / "one.png")
        assert "the token is missing or wrong" in run(*samples, "--url", url).stderr
        monkeypatch.setenv("ZSERVE_TOKEN", old)
        assert run(*samples, "--url", url).returncode == 0
        new = add_key(keys, "new", frozenset({"generate"}))
        wait_until(lambda: statuses(url, new) == {200})
        assert statuses(url, old) == {200}
        entries = keys.read_text().split("[[key]]")
        keys.write_text(f"[[key]]{entries[2]}")
        wait_until(lambda: statuses(url, old) == {401})
        assert statuses(url, new) == {200}
    assert old not in log.read_text()
    assert new not in log.read_text()
