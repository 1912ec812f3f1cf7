import re

import pytest

from app.api.routes.page import FILES
from tests.api.service import Service

OWN = [path for path in FILES.rglob("*") if path.suffix in {".html", ".css", ".js"}]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_and_all_that_it_names_come_from_this_service(service: Service, path: str) -> None:
    page = service.get(path)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert named
    for address in named:
        assert not re.match("[a-z]*:?//", address), f"{address} is somewhere else"
        assert service.get("/" + address.removeprefix("./").replace("&amp;", "&")).is_success


@pytest.mark.parametrize("file", [f for f in OWN if "vendor" not in f.parts], ids=lambda f: f.name)
def test_our_own_files_name_no_foreign_host(file: object) -> None:
    hosts = re.findall(r"https?://([^/\s\"'<:]+)", file.read_text())  # type: ignore[attr-defined]
    assert set(hosts) <= {"localhost", "www.w3.org"}


def test_style_sheets_fetch_nothing() -> None:
    for sheet in FILES.rglob("*.css"):
        for address in re.findall(r"url\(['\"]?([^)'\"]+)", sheet.read_text()):
            assert address.startswith("data:"), f"{sheet.name} fetches {address[:60]}"


def test_what_is_vendored_keeps_its_licence() -> None:
    for package in (FILES / "vendor").iterdir():
        if package.is_dir():
            assert (package / "LICENSE").is_file()


def test_the_page_shows_samples_that_are_really_made(service: Service) -> None:
    source = re.search(r'src="(generate[^"]+)"', service.get("/").text)
    assert source
    answer = service.get("/" + source[1].replace("&amp;", "&"))
    assert answer.headers["content-type"] == "image/png"
