"""/models/{name}/{version}/files: the integer weights and golden hashes, for the page."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load

from app.settings import Settings
from tests.api.service import Service, problem, publish, publish_moving, started
from tests.unit.exact_versions import publish_exact

FILES = ["exact.safetensors", "golden.json"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    publish_exact(root)
    publish(root, "float")
    publish_moving(root, "moving")
    return root


@pytest.fixture(scope="module")
def exact(store: Path) -> Iterator[Service]:
    settings = Settings(store=store, model="exact", device="cpu", log_requests=False)
    with started(settings) as service:
        yield service


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
def test_a_file_is_the_one_that_the_manifest_names(exact: Service, file: str, coding: str) -> None:
    answer = exact.get(f"/models/exact/1/files/{file}", headers={"Accept-Encoding": coding})
    manifest = exact.get("/models/exact/1").json()["manifest"]
    assert hashlib.sha256(answer.content).hexdigest() == manifest["files"][file]["sha256"]
    assert answer.headers.get("content-encoding", "identity") == coding
    assert answer.headers["vary"] == "Accept-Encoding"


def test_directions_are_those_that_the_manifest_names(exact: Service) -> None:
    answer = exact.get("/models/moving/1/files/directions.safetensors")
    manifest = exact.get("/models/moving/1").json()["manifest"]
    record = manifest["files"]["directions.safetensors"]
    assert hashlib.sha256(answer.content).hexdigest() == record["sha256"]
    steps = load(answer.content)["steps"]
    assert len(steps) == len(manifest["directions"]["entries"])
    missing = exact.get("/models/exact/1/files/directions.safetensors")
    assert "has no directions" in problem(missing, 404, "file-not-found")["detail"]


def test_the_golden_hashes_are_json(exact: Service, store: Path) -> None:
    answer = exact.get("/models/exact/production/files/golden.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == json.loads((store / "exact" / "1" / "golden.json").read_text())


def test_the_file_of_a_version_never_changes_but_that_of_an_alias_does(exact: Service) -> None:
    by_version = exact.get("/models/exact/1/files/golden.json").headers
    by_alias = exact.get("/models/exact/production/files/golden.json").headers
    assert by_version["cache-control"] == "max-age=31536000, immutable"
    assert by_alias["cache-control"] == "no-cache"
    assert by_version["etag"] == by_alias["etag"]


def test_a_client_that_has_the_file_gets_304_in_its_coding_only(exact: Service) -> None:
    path = f"/models/exact/1/files/{FILES[0]}"
    tags = {
        coding: exact.get(path, headers={"Accept-Encoding": coding}).headers["etag"]
        for coding in ("gzip", "identity")
    }
    for coding, tag in tags.items():
        for held, status in (
            (tag, 304),
            (tags["gzip" if coding == "identity" else "identity"], 200),
        ):
            headers = {"Accept-Encoding": coding, "If-None-Match": held}
            assert exact.get(path, headers=headers).status_code == status


def test_a_float_version_has_no_integer_weights(exact: Service) -> None:
    detail = problem(exact.get(f"/models/float/1/files/{FILES[0]}"), 404, "file-not-found")
    assert "float@1 is not an exact version" in str(detail)


@pytest.mark.parametrize("file", ["weights.safetensors", "manifest.json", "card.md", "nothing"])
def test_no_other_file_is_sent(exact: Service, file: str) -> None:
    problem(exact.get(f"/models/float/1/files/{file}"), 422, "invalid-parameter")
