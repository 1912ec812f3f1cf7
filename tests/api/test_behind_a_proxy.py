"""The service under a path of a reverse proxy: what its answers and links look like from outside."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.gate import Gate
from app.api.paths import is_v2, path_in_app
from app.errors import QueueFullError, SettingsError
from app.server.connections import ConnectionLimits
from app.server.refusals import Refusal
from app.settings import Settings, read_settings
from tests.api.service import Service, publish, started

PREFIX = {"X-Forwarded-Prefix": "/zserve"}
NEARBY = "127.0.0.1"
"""Address of the clients of httpx's transport for ASGI."""


@pytest.fixture(scope="module")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    publish(folder)
    return folder


def service_with(store: Path, **options: Any) -> Any:
    return started(Settings(store=store, device="cpu", log_requests=False, **options))


@pytest.fixture(scope="module")
def behind(small_store: Path) -> Iterator[Service]:
    with service_with(small_store, trusted_proxies=NEARBY) as service:
        yield service


@pytest.fixture(scope="module")
def under(small_store: Path) -> Iterator[Service]:
    with service_with(small_store, root_path="/zserve/") as service:
        yield service


def ask(service: Service, path: str, **options: Any) -> httpx.Response:
    return service.get(path, headers=PREFIX | options.pop("headers", {}), **options)


@pytest.fixture(params=["header", "setting"])
def service(request: pytest.FixtureRequest, behind: Service, under: Service) -> Service:
    return behind if request.param == "header" else under


@pytest.mark.parametrize("left", ["", "/zserve"])
def test_a_path_is_served_whether_the_proxy_removes_the_prefix_or_not(
    service: Service, left: str
) -> None:
    assert ask(service, f"{left}/generate?seed=1&n=2").status_code == 200
    assert ask(service, f"{left}/static/icon.svg").status_code == 200
    assert ask(service, f"{left}/").headers["Content-Type"].startswith("text/html")
    assert ask(service, f"{left}/v2/health/ready").status_code == 200


@pytest.mark.parametrize("left", ["", "/zserve"])
def test_links_and_the_server_of_the_description_begin_with_the_prefix(
    service: Service, left: str
) -> None:
    shown = ask(service, f"{left}/models/mnist/1").json()
    assert shown["figures"] == {"samples": "/zserve/models/mnist/1/figures/samples.png"}
    assert ask(service, shown["figures"]["samples"]).content.startswith(b"\x89PNG")
    assert ask(service, f"{left}/openapi.json").json()["servers"] == [{"url": "/zserve"}]


@pytest.mark.parametrize("left", ["", "/zserve"])
def test_redirects_stay_below_the_prefix(service: Service, left: str) -> None:
    moved = ask(service, f"{left}/models/?metrics=false", follow_redirects=False)
    assert (moved.status_code, moved.headers["Location"]) == (307, "/zserve/models?metrics=false")


def test_the_prefix_without_a_slash_is_redirected_to_the_page(service: Service) -> None:
    moved = ask(service, "/zserve", follow_redirects=False)
    assert (moved.status_code, moved.headers["Location"]) == (307, "/zserve/")


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/generate?n=0", "limit-exceeded"),
        ("/generate?sed=0", "invalid-parameter"),
        ("/no/such/path", "not-found"),
        ("/static/no-such-file.js", "not-found"),
        ("/models/none", "model-not-found"),
    ],
)
@pytest.mark.parametrize("left", ["", "/zserve"])
def test_problems_name_type_and_path_as_the_client_sees_them(
    service: Service, left: str, path: str, slug: str
) -> None:
    problem = ask(service, left + path).json()
    assert problem["type"] == f"/zserve/problems/{slug}"
    assert problem["instance"] == "/zserve" + path.partition("?")[0]


def test_a_misspelt_parameter_is_recognised_below_the_prefix(service: Service) -> None:
    assert ask(service, "/zserve/generate?sed=0").json()["remedy"] == "did you mean seed?"


def test_a_wrong_method_is_answered_with_the_allowed_ones(service: Service) -> None:
    for path in ("/static/icon.svg", "/generate"):
        refused = service.request("DELETE", f"/zserve{path}", headers=PREFIX)
        assert refused.status_code == 405
        assert "GET" in refused.headers["Allow"]


def test_requests_are_counted_under_the_paths_that_the_service_knows(service: Service) -> None:
    ask(service, "/zserve/models/mnist")
    lines = service.get("/metrics").text
    assert 'path="/models/{name}"' in lines
    assert 'path="/zserve' not in lines


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8"])
def test_a_prefix_of_a_stranger_is_ignored(small_store: Path, trusted: str) -> None:
    with service_with(small_store, trusted_proxies=trusted) as service:
        assert ask(service, "/generate?n=0").json()["type"] == "/problems/limit-exceeded"
        assert "servers" not in ask(service, "/openapi.json").json()
        assert ask(service, "/zserve/generate").status_code == 404


@pytest.mark.parametrize(
    "prefix",
    [
        "//evil.example",
        "https://evil.example",
        "/a/../b",
        "/a b",
        "/%2e%2e",
        "a",
        "/a//b",
        "/.",
        "/\\b",
    ],
)
def test_a_prefix_that_is_no_plain_path_is_ignored(behind: Service, prefix: str) -> None:
    headers = {"X-Forwarded-Prefix": prefix}
    moved = behind.get("/models/", headers=headers, follow_redirects=False)
    assert moved.headers["Location"] == "/models"


@pytest.mark.parametrize("prefix", ["/outer, /inner", "/outer/,/inner/"])
def test_prefixes_of_several_proxies_are_joined(behind: Service, prefix: str) -> None:
    answer = behind.get("/generate?n=0", headers={"X-Forwarded-Prefix": prefix})
    assert answer.json()["type"] == "/outer/inner/problems/limit-exceeded"


def test_the_prefix_of_a_header_comes_before_that_of_the_setting(small_store: Path) -> None:
    with service_with(small_store, trusted_proxies="*", root_path="/other") as service:
        assert ask(service, "/generate?n=0").json()["instance"] == "/zserve/generate"
        assert service.get("/generate?n=0").json()["instance"] == "/other/generate"


def test_the_address_of_the_client_is_still_that_of_x_forwarded_for(small_store: Path) -> None:
    with service_with(small_store, trusted_proxies=NEARBY, rate_limit="1/hour") as service:
        for client, status in (("203.0.113.1", 200), ("203.0.113.1", 429), ("203.0.113.2", 200)):
            answer = ask(service, "/generate?n=1", headers={"X-Forwarded-For": client})
            assert answer.status_code == status


def test_keys_are_asked_for_by_the_path_below_the_prefix(small_store: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(
        f'[[key]]\nname = "g"\nsha256 = "{_SHA256_OF_KEY}"\nscopes = ["generate"]\n', "utf-8"
    )
    with service_with(small_store, root_path="/zserve", api_keys=keys) as service:
        bearer = {"Authorization": "Bearer key"}
        for left in ("", "/zserve"):
            assert service.get(f"{left}/models").status_code == 200
            assert service.get(f"{left}/generate").status_code == 401
            assert service.get(f"{left}/generate", headers=bearer).status_code == 200
            refused = service.post(f"{left}/encode", headers=bearer)
            assert (refused.status_code, refused.json()["type"]) == (
                403,
                "/zserve/problems/missing-scope",
            )


_SHA256_OF_KEY = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"


def test_large_uploads_are_admitted_below_the_prefix(under: Service) -> None:
    large = b"x" * (2 * 1024 * 1024)
    refused = under.post("/zserve/decode", content=large)
    assert refused.json()["type"] == "/zserve/problems/body-too-large"
    headers = {"Content-Type": "image/png"}
    admitted = under.post("/zserve/reconstruct", content=large, headers=headers)
    assert admitted.json()["type"] == "/zserve/problems/not-an-image"


def test_refusals_of_an_overloaded_service_have_the_prefix() -> None:
    gate = Gate(retry_after_s=1, max_images=2, telemetry=None, request_log=None)
    answer = gate.answer(QueueFullError("full", limit=1), "/generate", "id", root_path="/zserve")
    assert b'"/zserve/problems/queue-full"' in answer.body
    assert b'"instance":"/zserve/generate"' in answer.body


def test_refusals_before_the_app_have_the_prefix() -> None:
    limits = ConnectionLimits.of(Settings(root_path="/zserve"))
    refusal = Refusal(QueueFullError("full"), 1, limits.root_path)
    assert b'"type":"/zserve/problems/queue-full"' in refusal.answer([], "id")


def test_paths_in_the_app_are_told_from_longer_names() -> None:
    scope = {"path": "/zserves/v2", "state": {"root_path": "/zserve"}}
    assert path_in_app(scope) == "/zserves/v2"
    assert not is_v2(scope)
    assert is_v2({"path": "/zserve/v2/x", "state": {"root_path": "/zserve"}})


@pytest.mark.parametrize("prefix", ["zserve", "//x", "/a/../b", "https://x/y", "/a?b", "/a b"])
def test_a_root_path_that_is_no_path_is_refused(
    monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv("ZSERVE_ROOT_PATH", prefix)
    with pytest.raises(SettingsError, match="ZSERVE_ROOT_PATH: a path begins with one slash"):
        read_settings()


@pytest.mark.parametrize(("text", "prefix"), [("/", ""), ("/zserve/", "/zserve"), ("/a/b", "/a/b")])
def test_a_slash_at_the_end_of_a_root_path_does_not_matter(text: str, prefix: str) -> None:
    assert Settings(root_path=text).root_path == prefix
