"""A service that cannot use its store says why in one line, and ends with status 2."""

from pathlib import Path

import pytest

from tests.e2e.server import run


def refusal(*options: str) -> str:
    done = run("-m", "app", "--port", "0", *options)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSERVE_STORE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("ftp://host/models", "ftp:// is no kind of store; use s3://bucket/prefix"),
        ("s3://", "names no bucket; write s3://bucket/prefix"),
    ],
)
def test_an_address_that_is_none(address: str, problem: str):
    line = refusal("--store", address)
    assert line.startswith("zserve: --store: ")
    assert problem in line


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("ZSERVE_STORE_CACHE", str(tmp_path / "file" / "cache"))
    line = refusal("--store", "memory://")
    assert line.startswith("zserve: ZSERVE_STORE_CACHE: cannot write the cache")
    assert "name a folder that can be written" in line


def test_a_store_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    line = refusal("--store", "s3://bucket/models")
    assert line.startswith("zserve: ZSERVE_STORE: s3://bucket/models does not answer")
    assert line.endswith("the cache has no copy of mnist to start with")
