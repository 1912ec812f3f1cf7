"""Conditional requests, redirects, forms of unusual clients, and coded bodies."""

import gzip
from typing import Any

import pytest

from tests.api.service import Service, digit, problem

BOUNDARY = "multipart/form-data; boundary=x"


# --- conditional requests ---


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/static/style.css",
        "/models/mnist/1/figures/samples.png",
        "/models/mnist/production/figures/samples.png",
        "/models/mnist/1/files/encoded_images.safetensors",
    ],
)
def test_a_client_that_has_the_file_gets_304(service: Service, path: str) -> None:
    first = service.get(path)
    tag = first.headers["etag"]
    for held in (tag, f'"other", W/{tag.removeprefix("W/")}', "*"):
        again = service.get(path, headers={"If-None-Match": held})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("etag", "cache-control", "content-security-policy"):
            assert again.headers.get(name) == first.headers.get(name)
    changed = service.get(path, headers={"If-None-Match": '"another"'})
    assert changed.content == first.content


@pytest.mark.parametrize("file", ["figures/samples.png", "files/encoded_images.safetensors"])
def test_the_file_of_a_version_never_changes_but_that_of_an_alias_does(
    service: Service, file: str
) -> None:
    of_version = service.get(f"/models/mnist/1/{file}").headers
    of_alias = service.get(f"/models/mnist/production/{file}").headers
    assert of_version["cache-control"] == "max-age=31536000, immutable"
    assert of_alias["cache-control"] == "no-cache"
    assert of_version["etag"] == of_alias["etag"]


def test_a_missing_figure_is_not_cached(service: Service) -> None:
    answer = service.get("/models/mnist/1/figures/nothing.png", headers={"If-None-Match": "*"})
    problem(answer, 404, "figure-not-found")
    assert "etag" not in answer.headers


# --- redirects ---


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/generate/?n=1&seed=7", "/generate?n=1&seed=7"),
        ("/models/", "/models"),
        ("/models/a%20b/", "/models/a%20b"),
        ("/static", "/static/"),
        ("/healthz//", "/healthz"),
    ],
)
@pytest.mark.parametrize("host", ["service", "evil.example"])
def test_a_redirect_names_no_host(service: Service, path: str, target: str, host: str) -> None:
    answer = service.get(path, headers={"Host": host, "X-Forwarded-Host": "evil.example"})
    assert answer.status_code == 307
    assert answer.headers["location"] == target


@pytest.mark.parametrize(
    "path",
    ["//evil.example/", "//evil.example", "/nothing/", "/static/nothing/", "/static/nothing"],
)
def test_a_path_without_a_route_is_not_redirected(service: Service, path: str) -> None:
    problem(service.get(f"http://service{path}"), 404, "not-found")


@pytest.mark.parametrize("method", ["POST", "HEAD"])
def test_other_methods_are_redirected_too(service: Service, method: str) -> None:
    answer = service.request(method, "/generate/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/generate")


# --- forms ---


def part(disposition: str, *headers: str) -> dict[str, Any]:
    lines = "\r\n".join((f"Content-Disposition: form-data; {disposition}", *headers))
    content = b"--x\r\n" + lines.encode() + b"\r\n\r\n" + digit() + b"\r\n--x--\r\n"
    return {"content": content, "headers": {"Content-Type": BOUNDARY}}


@pytest.mark.parametrize(
    "form",
    [
        part('name="image"; filename="digit.png"'),
        part("name=\"image\"; filename*=UTF-8''digit%20%E2%82%AC.png"),
        part("name=\"image\"; filename*=UTF-8''d.png", "Content-Type: image/png"),
        part("name=\"image\"; FileName* = UTF-8''d.png"),
        part('name="image"', "Content-Type: image/png"),
        part('name="image"', "content-type:  IMAGE/JPEG"),
        part('name="image"', "Content-Type: application/octet-stream"),
        part('name=image; filename=""', "Content-Type: image/png"),
    ],
)
def test_a_part_is_a_file_however_its_client_says_so(service: Service, form: Any) -> None:
    usual = service.post("/reconstruct", files={"image": ("digit.png", digit(), "image/png")})
    answer = service.post("/reconstruct", **form)
    assert answer.status_code == 200
    assert answer.content == usual.content


@pytest.mark.parametrize(
    "form", [part('name="image"'), part('name="image"', "Content-Type: text/plain")]
)
def test_a_part_that_nothing_makes_a_file_is_text(service: Service, form: Any) -> None:
    problem(service.post("/reconstruct", **form), 422, "wrong-field")


def test_a_part_without_a_name_is_malformed(service: Service) -> None:
    form = part('filename="digit.png"', "Content-Type: image/png")
    problem(service.post("/reconstruct", **form), 400, "malformed-body")


# --- codings ---


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "gzip, br", "x" * 500])
@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/reconstruct", "image/png"),
        ("/encode", "image/png"),
        ("/decode", "application/json"),
        ("/generate", "application/json"),
        ("/compress", "application/octet-stream"),
    ],
)
def test_a_body_in_a_coding_that_is_not_read_is_refused(
    service: Service, path: str, media_type: str, coding: str
) -> None:
    headers = {"Content-Encoding": coding, "Content-Type": media_type}
    answer = service.post(path, content=gzip.compress(digit()), headers=headers)
    refusal = problem(answer, 415, "unsupported-body")
    assert coding[:80] in refusal["detail"]
    assert "uncompressed" in refusal["remedy"]


def test_a_promotion_in_a_coding_that_is_not_read_is_refused(service: Service) -> None:
    answer = service.request(
        "PUT",
        "/models/mnist/aliases/production",
        content=gzip.compress(b"{}"),
        headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
    )
    problem(answer, 415, "unsupported-body")


@pytest.mark.parametrize("coding", ["identity", "IDENTITY", ""])
def test_a_body_without_a_coding_is_read(service: Service, coding: str) -> None:
    headers = {"Content-Encoding": coding, "Content-Type": "image/png"}
    assert service.post("/reconstruct", content=digit(), headers=headers).status_code == 200


# --- Accept ---


def test_the_first_hundred_media_ranges_are_read(service: Service) -> None:
    for count, status in ((99, 200), (100, 406), (60_000, 406)):
        headers = {"Accept": "a/b," * count + "image/png"}
        assert service.get("/generate?n=1", headers=headers).status_code == status
