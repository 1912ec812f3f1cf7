"""HTTP through nginx, with TLS and under /zserve/."""

import subprocess
import sys
import zipfile
from io import BytesIO

import httpx
import pytest

from tests.e2e.server import CHECKOUT
from tests.proxy.conftest import TOKEN
from zserve_client import Client

CALLS = CHECKOUT / "docker" / "endpoint_calls.py"


def test_every_endpoint_answers(http: httpx.Client, address: str) -> None:
    command = [sys.executable, str(CALLS), address, "--token", TOKEN]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "endpoints answer" in done.stdout


def test_the_prefix_alone_leads_to_the_page(http: httpx.Client, address: str) -> None:
    moved = http.get(address)  # httpx adds a slash to its base, so name the address itself
    assert moved.status_code == 301
    assert moved.headers["Location"] == "/zserve/"
    assert http.get("/").headers["Content-Type"].startswith("text/html")


def test_redirects_problems_links_and_servers_are_below_the_prefix(http: httpx.Client) -> None:
    assert http.get("/models/").headers["Location"] == "/zserve/models"
    problem = http.get("/generate?n=0").json()
    assert problem["type"] == "/zserve/problems/limit-exceeded"
    assert problem["instance"] == "/zserve/generate"
    assert http.get("/openapi.json").json()["servers"] == [{"url": "/zserve"}]
    figures = http.get("/models/mnist/production").json()["figures"]
    for figure in figures.values():
        assert figure.startswith("/zserve/")
        assert http.get(http.base_url.copy_with(path=figure)).status_code == 200


def test_an_archive_comes_complete(http: httpx.Client) -> None:
    archive = http.get("/generate?n=600&seed=1&format=zip").content
    names = zipfile.ZipFile(BytesIO(archive)).namelist()
    assert len([name for name in names if name.endswith(".png")]) == 600


def test_an_upload_of_megabytes_reaches_the_service(http: httpx.Client) -> None:
    headers = {"Content-Type": "image/png"}
    refused = http.post("/reconstruct", content=b"x" * 8_000_000, headers=headers)
    assert refused.json()["type"] == "/zserve/problems/not-an-image"


@pytest.mark.usefixtures("http")
def test_the_client_works_under_the_prefix(address: str) -> None:
    with Client(address) as client:
        assert client.generate(n=2, seed=1).content.startswith(b"\x89PNG")
        (figure, *_) = client.model("mnist").figures
        assert client.figure(figure, "mnist").content.startswith(b"\x89PNG")


@pytest.mark.parametrize("path", ["/zserves/", "/", "/models"])
def test_nothing_is_served_beside_the_prefix(http: httpx.Client, path: str) -> None:
    assert http.get(http.base_url.copy_with(path=path)).status_code == 404
