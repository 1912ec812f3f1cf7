import pytest

from tests.api.service import Service


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/static/style.css",
        "/generate?n=1&seed=7",
        "/generate?n=1&format=json",
        "/generate?n=0",
        "/models",
        "/metrics",
        "/openapi.json",
        "/healthz",
        "/nowhere",
        "/models/../../etc/passwd",
    ],
)
def test_every_answer_tells_browsers_not_to_trust_it(service: Service, path: str) -> None:
    headers = service.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"].split("; ")
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy
    scripts = [directive for directive in policy if directive.startswith("script-src")]
    assert scripts == ["script-src 'self' 'wasm-unsafe-eval'"]


def test_each_security_header_is_sent_once(service: Service) -> None:
    names = [name for name, _ in service.get("/").headers.raw]
    assert len(names) == len(set(names))
