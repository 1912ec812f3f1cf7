"""API keys and limits of rates, over HTTP."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from app.access.api_keys import Scope, add_key
from app.api.middleware.access import required_scopes
from app.server.cli import main
from app.settings import Settings
from tests.api.service import Service, digit, problem, publish, started

TOKEN = "a-token-for-tests"
ALIAS = "/models/mnist/aliases/production"


def settings(store: Path, **options: Any) -> Settings:
    return Settings(store=store, device="cpu", log_requests=False, **options)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


class Keys:
    """A file with one key for each set of scopes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generate = self._add("g", "generate")
        self.upload = self._add("u", "upload")
        self.both = self._add("b", "generate", "upload")
        self.promote = self._add("p", "promote")

    def _add(self, name: str, *scopes: Scope) -> str:
        return add_key(self.path, name, frozenset(scopes))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys") / "keys.toml")


@pytest.fixture(scope="module")
def guarded(store: Path, keys: Keys) -> Iterator[Service]:
    with started(settings(store, api_keys=keys.path, token_rate_limit="100000/second")) as service:
        yield service


# --- guesses of the token --------------------------------------------------------------------


def promote(service: Service, secret: str | None) -> httpx.Response:
    headers = {} if secret is None else bearer(secret)
    return service.request("PUT", ALIAS, json={"version": 1}, headers=headers)


def test_guesses_of_the_token_are_limited_without_any_setting(tmp_path: Path) -> None:
    publish(tmp_path)
    with started(settings(tmp_path, admin_token=TOKEN)) as service:
        answers = [promote(service, f"guess {i}") for i in range(50)]
        statuses = [answer.status_code for answer in answers]
        assert statuses == [401] * 10 + [429] * 40
        refusal = problem(answers[-1], 429, "rate-limited")
        assert refusal["limit"] == 10
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 6
        # Otherwise a guess would still be told from the token.
        assert promote(service, TOKEN).status_code == 429
        assert service.get("/generate").status_code == 200


def test_a_valid_token_is_never_limited_and_clears_the_guesses(tmp_path: Path) -> None:
    publish(tmp_path)
    with started(settings(tmp_path, admin_token=TOKEN)) as service:
        for _ in range(3):
            assert [promote(service, "guess").status_code for _ in range(9)] == [401] * 9
            assert [promote(service, TOKEN).status_code for _ in range(20)] == [200] * 20


def test_a_request_without_a_token_is_no_guess(tmp_path: Path) -> None:
    publish(tmp_path)
    with started(settings(tmp_path, admin_token=TOKEN)) as service:
        assert {promote(service, None).status_code for _ in range(30)} == {401}
        assert promote(service, TOKEN).status_code == 200


# --- API keys --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/generate", "/traverse", "/interpolate?seed_a=1&seed_b=2"])
def test_calls_from_seeds_need_the_scope_generate(guarded: Service, keys: Keys, path: str) -> None:
    for secret in (keys.generate, keys.both):
        assert guarded.post(path, headers=bearer(secret)).status_code == 200
    problem(guarded.post(path), 401, "unauthorized")
    problem(guarded.post(path, headers=bearer("zs_wrong")), 401, "unauthorized")
    for secret in (keys.upload, keys.promote):
        refusal = problem(guarded.post(path, headers=bearer(secret)), 403, "missing-scope")
        assert "generate" in refusal["detail"]
        assert secret not in json.dumps(refusal)


@pytest.mark.parametrize("path", ["/reconstruct", "/encode"])
def test_uploads_need_the_scope_upload(guarded: Service, keys: Keys, path: str) -> None:
    files = {"image": digit()}
    for secret in (keys.upload, keys.both):
        assert guarded.post(path, files=files, headers=bearer(secret)).status_code == 200
    refusal = guarded.post(path, files=files, headers=bearer(keys.generate))
    assert "upload" in problem(refusal, 403, "missing-scope")["detail"]


@pytest.mark.parametrize("path", ["/traverse", "/interpolate"])
def test_calls_with_seeds_or_images_need_upload_for_images(
    guarded: Service, keys: Keys, path: str
) -> None:
    files = {"image": digit()} if path == "/traverse" else {"a": digit(), "b": digit(9)}
    for secret, status in ((keys.generate, 403), (keys.upload, 403), (keys.both, 200)):
        assert guarded.post(path, files=files, headers=bearer(secret)).status_code == status

    headers = bearer(keys.generate) | {"Transfer-Encoding": "chunked"}
    chunked = guarded.post(path, content=digit(), headers=headers)
    problem(chunked, 403, "missing-scope")


@pytest.mark.parametrize(
    "header",
    ["Basic {}", "{}", "bearer{}", "Bearer", "Bearer ", "Bearer  x", "Token {}", "Bearer {}x"],
)
def test_a_key_in_another_form_is_refused(guarded: Service, keys: Keys, header: str) -> None:
    headers = {"Authorization": header.format(keys.generate)}
    problem(guarded.get("/generate", headers=headers), 401, "unauthorized")


def test_the_scheme_of_the_header_may_have_any_case(guarded: Service, keys: Keys) -> None:
    headers = {"Authorization": f"bEARER   {keys.generate}"}
    assert guarded.get("/generate", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/healthz", "/readyz", "/metrics", "/models", "/models/mnist", "/docs", "/openapi.json"],
)
def test_what_computes_nothing_needs_no_key(guarded: Service, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_every_route_that_computes_needs_a_key(guarded: Service) -> None:
    """A new route is guarded unless somebody opens it on purpose."""
    open_routes = set()
    for route in guarded.app.routes:
        if not isinstance(route, APIRoute):
            continue
        path = re.sub(r"\{\w+\}", "mnist", route.path)
        for method in route.methods or ():
            scope: dict[str, Any] = {"path": path, "method": method, "headers": []}
            if not required_scopes(scope) and method == "POST":
                open_routes.add(path)
    assert open_routes == set()


@pytest.mark.parametrize("path", ["/generate/", "/generate//", "/Generate", "/static", "/nothing"])
def test_a_path_that_is_unknown_needs_a_key_too(guarded: Service, path: str) -> None:
    assert guarded.get(path).status_code == 401


def test_inference_by_the_v2_protocol_needs_both_scopes(guarded: Service, keys: Keys) -> None:
    path = "/v2/models/mnist/infer"
    assert guarded.get("/v2/models/mnist").status_code == 200
    for secret, status in ((keys.generate, 403), (keys.upload, 403)):
        answer = guarded.post(path, json={}, headers=bearer(secret))
        assert answer.status_code == status
    assert guarded.post(path, json={}).status_code == 401
    assert guarded.post(path, json={}, headers=bearer(keys.both)).status_code in {400, 422}


def test_a_key_with_the_scope_promote_sets_aliases_without_an_admin_token(
    tmp_path: Path, keys: Keys
) -> None:
    publish(tmp_path)
    with started(settings(tmp_path, api_keys=keys.path)) as service:
        assert promote(service, keys.promote).status_code == 200
        problem(promote(service, keys.both), 403, "missing-scope")
        problem(promote(service, None), 401, "unauthorized")


def test_the_admin_token_may_do_everything(tmp_path: Path, keys: Keys) -> None:
    publish(tmp_path)
    with started(settings(tmp_path, api_keys=keys.path, admin_token=TOKEN)) as service:
        assert service.get("/generate", headers=bearer(TOKEN)).status_code == 200
        files = {"image": digit()}
        assert service.post("/encode", files=files, headers=bearer(TOKEN)).status_code == 200
        assert promote(service, TOKEN).status_code == 200


def test_guesses_of_keys_are_limited(store: Path, keys: Keys) -> None:
    with started(settings(store, api_keys=keys.path, token_rate_limit="3/minute")) as service:
        wrong = [service.get("/generate", headers=bearer("x")).status_code for _ in range(5)]
        assert wrong == [401, 401, 401, 429, 429]
        assert service.get("/generate", headers=bearer(keys.generate)).status_code == 429


# --- limits of calls -------------------------------------------------------------------------


def test_without_the_setting_calls_are_not_limited(service: Service) -> None:
    assert {service.get("/generate?n=1&seed=1").status_code for _ in range(60)} == {200}


def test_calls_of_a_client_are_limited_and_the_answer_says_when_to_come_again(store: Path) -> None:
    with started(settings(store, rate_limit="5/minute")) as service:
        answers = [service.get("/generate?seed=1") for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        problem(answers[-1], 429, "rate-limited")
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 12
        assert service.post("/encode", files={"image": digit()}).status_code == 429
        for path in ("/healthz", "/readyz", "/metrics", "/models", "/"):
            assert service.get(path).status_code == 200


def test_clients_have_an_allowance_each(store: Path) -> None:
    with started(settings(store, rate_limit="1/minute")) as service:

        def ask(address: str) -> int:
            transport = httpx.ASGITransport(service.app, client=(address, 5))
            client = httpx.AsyncClient(transport=transport, base_url="http://service")
            return int(service.portal.call(client.get, "/generate?n=1").status_code)

        assert [ask("192.0.2.1"), ask("192.0.2.2"), ask("192.0.2.1")] == [200, 200, 429]
        assert [ask("2001:db8::1"), ask("2001:db8::2"), ask("2001:db8:0:1::1")] == [200, 429, 200]


def test_with_keys_the_limit_is_that_of_each_key(store: Path, keys: Keys) -> None:
    with started(settings(store, api_keys=keys.path, rate_limit="2/minute")) as service:
        statuses = [
            service.get("/generate?n=1", headers=bearer(secret)).status_code
            for secret in (keys.generate, keys.both) * 3
        ]
        assert statuses == [200] * 4 + [429] * 2


# --- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ZSERVE_RATE_LIMIT", "fast"),
        ("ZSERVE_RATE_LIMIT", "0/second"),
        ("ZSERVE_TOKEN_RATE_LIMIT", "10 per minute"),
        ("ZSERVE_RATE_LIMIT_REDIS", "http://me:secret@localhost"),
        ("ZSERVE_API_KEYS", "/no/such/secret"),
    ],
)
def test_an_unusable_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert main(["--device", "cpu", "--port", "0"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert variable in printed or value in printed
    assert "me:secret" not in printed
