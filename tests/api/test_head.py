"""HEAD has the headers of GET and no body."""

import pytest

from tests.api.service import Service

CHANGING = {"x-request-id", "x-queue-time", "x-inference-time"}


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/docs", "/openapi.json", "/static/icon.svg", "/models", "/models/mnist"),
        *("/models/mnist/1", "/models/mnist/1/figures/samples.png", "/healthz", "/readyz", "/v2"),
        *("/generate?n=2&seed=7", "/generate?n=3&seed=7&format=json", "/generate?n=nonsense"),
        *("/generate?n=300&seed=7&format=zip", "/nothing/here"),
    ],
)
def test_head_has_the_headers_of_get_and_no_body(service: Service, path: str) -> None:
    get, head = service.get(path), service.request("HEAD", path)
    assert head.status_code == get.status_code
    assert head.content == b""
    head_headers, get_headers = dict(head.headers), dict(get.headers)
    assert head_headers.keys() == get_headers.keys()
    for name in head_headers.keys() - CHANGING:
        if name != "content-length" or get.status_code == 200:  # a problem contains its request id
            assert head_headers[name] == get_headers[name], name


def test_head_with_a_current_etag_is_304(service: Service) -> None:
    tag = service.get("/generate?n=2&seed=7").headers["etag"]
    answer = service.request("HEAD", "/generate?n=2&seed=7", headers={"If-None-Match": tag})
    assert answer.status_code == 304


def test_head_of_a_streamed_zip_computes_only_its_first_piece(
    service: Service, computed: list[int]
) -> None:
    service.request("HEAD", "/generate?n=5000&seed=7&format=zip")
    assert sum(computed) < 1000


def test_head_is_refused_for_endpoints_that_accept_only_post(service: Service) -> None:
    answer = service.request("HEAD", "/reconstruct")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert answer.content == b""


def test_allow_names_every_method(service: Service) -> None:
    answer = service.request("DELETE", "/generate")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert answer.json()["remedy"] == f"use {answer.headers['allow']}"


def test_head_is_counted_under_its_own_name(service: Service) -> None:
    service.request("HEAD", "/healthz")
    counted = 'zserve_requests_total{method="HEAD",path="/healthz",status="200"}'
    assert counted in service.get("/metrics").text


def test_files_are_not_written(service: Service) -> None:
    answer = service.post("/static/icon.svg")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
