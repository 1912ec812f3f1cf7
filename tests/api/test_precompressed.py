"""Files of the page and JSON about models travel compressed, and each coding has its own ETag."""

import gzip
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest

from app.api import precompressed
from app.api.page_bundle import BUNDLED, PLAIN, front_page, sources_checksum
from app.api.precompressed import Files
from app.api.routes.page import FILES
from tests.api.service import Service

PATHS = ["/", "/docs", "/static/style.css", "/static/js/main.js", "/models", "/models/mnist/1"]
GZIP = {"Accept-Encoding": "gzip"}
PLAINLY = {"Accept-Encoding": "identity"}


def raw(service: Service, path: str, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    """Return the bytes as they travel, and the headers."""
    request = service.client.build_request("GET", path, headers=headers)

    async def send() -> tuple[bytes, dict[str, str]]:
        answer = await service.client.send(request, stream=True)
        content = b"".join([part async for part in answer.aiter_raw()])
        return content, dict(answer.headers)

    return service.portal.call(send)


DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("coding", DECOMPRESS)
def test_a_client_that_accepts_a_coding_gets_the_same_content_in_fewer_bytes(
    service: Service, path: str, coding: str
) -> None:
    plain, plain_headers = raw(service, path, PLAINLY)
    coded, coded_headers = raw(service, path, {"Accept-Encoding": coding})
    assert DECOMPRESS[coding](coded) == plain
    assert len(coded) < len(plain)
    assert coded_headers["content-encoding"] == coding
    assert int(coded_headers["content-length"]) == len(coded)
    assert coded_headers["content-type"] == plain_headers["content-type"]
    assert "content-encoding" not in plain_headers
    assert coded_headers["etag"] != plain_headers["etag"]
    assert plain_headers["vary"] == coded_headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "coding", [GZIP, {"Accept-Encoding": "deflate"}, PLAINLY], ids=["gzip", "deflate", "identity"]
)
def test_an_etag_is_confirmed_for_its_own_coding(
    service: Service, path: str, coding: dict[str, str]
) -> None:
    _, headers = raw(service, path, coding)
    content, again = raw(service, path, coding | {"If-None-Match": headers["etag"]})
    assert content == b""
    assert again["etag"] == headers["etag"]
    assert again["cache-control"] == "no-cache"
    assert again["vary"] == "Accept-Encoding"


def test_a_compressed_copy_is_no_answer_for_a_client_without_gzip(service: Service) -> None:
    _, headers = raw(service, "/static/style.css", GZIP)
    content, _ = raw(service, "/static/style.css", PLAINLY | {"If-None-Match": headers["etag"]})
    assert content == (FILES / "style.css").read_bytes()


EVERYWHERE = [
    "/static/style.css",
    "/models",
    "/models/mnist/1",
    "/models/mnist/1/files/encoded_images.safetensors",
]


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("*", "gzip"),
        ("br, *;q=0.1", "gzip"),
        ("gzip;q=0, *", "deflate"),
        ("gzip;q=0.2, deflate;q=0.8", "deflate"),
        ("gzip;q=0.5, identity", None),
        ("*;q=0", None),
        ("br, zstd", None),
    ],
)
def test_one_rule_chooses_the_coding_of_every_answer(
    service: Service, accepted: str, coding: str | None
) -> None:
    for path in EVERYWHERE:
        _, headers = raw(service, path, {"Accept-Encoding": accepted})
        assert headers.get("content-encoding") == coding, path


def test_two_lines_of_a_header_count_as_one(service: Service) -> None:
    lines = [("Accept-Encoding", "br"), ("Accept-Encoding", "deflate")]
    for path in EVERYWHERE:
        assert service.get(path, headers=lines).headers["content-encoding"] == "deflate", path


@pytest.mark.parametrize("path", ["/", *EVERYWHERE])
@pytest.mark.parametrize(
    "value", ["bytes=0-0", "bytes=9-1", "bytes=-0", "lines=1", "bytes=0-0,2-2"]
)
def test_a_range_is_ignored(service: Service, path: str, value: str) -> None:
    for coding in (GZIP, PLAINLY):
        whole, _ = raw(service, path, coding)
        content, headers = raw(service, path, coding | {"Range": value})
        assert content == whole
        assert "accept-ranges" not in headers
        assert "content-range" not in headers


@pytest.mark.parametrize("path", ["/", *EVERYWHERE])
def test_head_has_the_headers_of_get(service: Service, path: str) -> None:
    for coding in (GZIP, PLAINLY):
        get, head = (service.request(m, path, headers=coding) for m in ("GET", "HEAD"))
        assert head.content == b""
        changing = {"date", "x-request-id", "traceparent"}
        assert {k: v for k, v in head.headers.items() if k not in changing} == {
            k: v for k, v in get.headers.items() if k not in changing
        }


def test_nothing_is_compressed_twice(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [raw(service, path, GZIP)[0] for path in PATHS]
    monkeypatch.setattr(precompressed, "deflate", None)
    assert [raw(service, path, GZIP)[0] for path in PATHS] == first


def test_images_are_sent_as_they_are(service: Service) -> None:
    for path in ("/generate?n=1&seed=1", "/generate?n=1&seed=1&format=json"):
        assert "content-encoding" not in raw(service, path, GZIP)[1]


def test_a_list_of_models_without_metrics_is_otherwise_the_same(service: Service) -> None:
    full = service.get("/models").json()
    short = service.get("/models?metrics=false").json()
    for model in full["models"]:
        model["metrics"] = {}
    assert short == full
    assert service.get("/models?metrics=banana").status_code == 422


def fetch(files: Files, path: str, headers: dict[str, str]) -> httpx.Response:
    """Ask for a file."""

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(files)
        async with httpx.AsyncClient(transport=transport, base_url="http://files") as client:
            return await client.get(path, headers=headers)

    return anyio.run(get)


def test_a_file_that_has_changed_is_compressed_again(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("// first\n" * 200)
    files = Files(directory=tmp_path)
    assert fetch(files, "/a.js", GZIP).text.startswith("// first")
    (tmp_path / "a.js").write_text("// second\n" * 300)
    assert fetch(files, "/a.js", GZIP).text.startswith("// second")


def test_files_with_a_hash_in_their_name_are_kept_for_ever(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "main-abc.js").write_text("// code\n" * 200)
    files = Files(directory=tmp_path)
    for headers in (GZIP, PLAINLY):
        lifetime = fetch(files, "/bundle/main-abc.js", headers).headers["cache-control"]
        assert lifetime == "max-age=31536000, immutable"


def test_a_bundle_is_served_only_if_it_is_that_of_its_sources(tmp_path: Path) -> None:
    web = shutil.copytree(
        FILES, tmp_path / "web", ignore=shutil.ignore_patterns("bundle", "vendor")
    )
    assert front_page(web) == PLAIN
    (web / "bundle").mkdir()
    (web / BUNDLED).write_text("<!doctype html>")
    (web / "bundle" / "sources.sha256").write_text(sources_checksum(web))
    assert front_page(web) == BUNDLED
    (web / "js" / "parts" / "generate.js").write_text("// changed")
    assert front_page(web) == PLAIN
