from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings, read_settings
from tests.api.service import Service, started


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


def test_sites_that_are_named_may_show_the_page_in_a_frame(store: Path) -> None:
    sites = "https://huggingface.co  https://*.example.org:8443"
    settings = Settings(store=store, device="cpu", log_requests=False, frame_ancestors=sites)
    with started(settings) as service:
        headers = service.get("/").headers
    assert "x-frame-options" not in headers
    policy = headers["content-security-policy"].split("; ")
    assert policy[-1] == (
        "frame-ancestors 'self' https://huggingface.co https://*.example.org:8443"
    )


@pytest.mark.parametrize("sites", ["*", "huggingface.co", "https://a; script-src *", "https://a/b"])
def test_what_is_no_site_is_refused(sites: str) -> None:
    with pytest.raises(SettingsError, match=r"--frame-ancestors: .* is no site"):
        read_settings(frame_ancestors=sites)


def test_each_security_header_is_sent_once(service: Service) -> None:
    names = [name for name, _ in service.get("/").headers.raw]
    assert len(names) == len(set(names))
