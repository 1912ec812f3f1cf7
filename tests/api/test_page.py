"""The files of the page and of the API documentation."""

import re
from pathlib import Path

import pytest

from app.api.routes.page import FILES
from tests.api.service import Service

OWN_FILES = [path for path in FILES.rglob("*") if path.suffix in {".html", ".css", ".js"}]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_and_its_files_come_from_this_service(service: Service, path: str) -> None:
    page = service.get(path)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert addresses
    for address in addresses:
        assert not re.match("[a-z]*:?//", address), f"{address} is on another host"
        assert service.get("/" + address.removeprefix("./").replace("&amp;", "&")).is_success


@pytest.mark.parametrize(
    "file", [f for f in OWN_FILES if "vendor" not in f.parts], ids=lambda f: f.name
)
def test_the_files_of_the_page_name_no_other_host(file: Path) -> None:
    hosts = re.findall(r"https?://([^/\s\"'<:]+)", file.read_text())
    assert set(hosts) <= {"localhost", "www.w3.org"}


def test_style_sheets_load_no_other_files() -> None:
    for sheet in FILES.rglob("*.css"):
        for address in re.findall(r"url\(['\"]?([^)'\"]+)", sheet.read_text()):
            assert address.startswith("data:"), f"{sheet.name} loads {address[:60]}"


def test_each_vendored_package_includes_its_licence() -> None:
    for package in (FILES / "vendor").iterdir():
        if package.is_dir():
            assert (package / "LICENSE").is_file()


def test_the_first_image_of_the_page_is_generated_by_the_service(service: Service) -> None:
    image = re.search(r'src="(generate[^"]+)"', service.get("/").text)
    assert image
    answer = service.get("/" + image[1].replace("&amp;", "&"))
    assert answer.headers["content-type"] == "image/png"
