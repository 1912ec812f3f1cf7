"""Wrong addresses, proxies, certificates and headers: one exception of ours, one line on stderr."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zserve_client import AsyncClient, Client, InputError

CLOSED = "http://[::1]:9"
"""An address on which nothing listens, with a host that NO_PROXY may name."""

VARIABLES = [
    ("NO_PROXY", "[::1]", "NO_PROXY"),
    ("no_proxy", "localhost,[::1]:8000", "no_proxy"),
    ("ALL_PROXY", "socks5://127.0.0.1:1080", "socksio"),
    ("ALL_PROXY", "socks5h://", "socksio"),
    ("all_proxy", "socks4://127.0.0.1:1080", "all_proxy"),
    ("HTTP_PROXY", "ftp://proxy", "HTTP_PROXY"),
    ("HTTPS_PROXY", "http://proxy:port", "HTTPS_PROXY"),
    ("HTTP_PROXY", "http://me:secret@proxy:port", "HTTP_PROXY"),
    ("SSL_CERT_FILE", "/no/such/file.pem", "SSL_CERT_FILE"),
    ("SSL_CERT_FILE", "/", "SSL_CERT_FILE"),
    ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE"),
    ("SSLKEYLOGFILE", "/no/such/folder/keys", "SSLKEYLOGFILE"),
]
URLS = [
    "",
    "/",
    "localhost:8000",
    "//localhost:8000",
    "http://",
    "http:///generate",
    "http://[",
    "http://[::1",
    "http://a b",
    "http://localhost:port",
    "http://localhost:99999",
    "http://localhost:-1",
    "http://local\x00host",
    "http://local\nhost",
    "http://.",
    "http://a..b",
    "http://xn--a",
    "http://" + "a" * 64 + ".example",
    "http://" + "a" * 70_000,
    "ftp://localhost",
    "file:///etc/passwd",
    "unix:/run/zserve.sock",
    "javascript:alert(1)",
]


def ask(url: str = CLOSED, **options: str) -> None:
    with Client(url, retries=0, **options) as client:  # type: ignore[arg-type]
        client.generate(n=1)


async def ask_async(url: str = CLOSED, **options: str) -> None:
    async with AsyncClient(url, retries=0, **options) as client:  # type: ignore[arg-type]
        await client.generate(n=1)


def refusals(url: str = CLOSED, **options: str) -> set[str]:
    """Return the messages of both clients, which must be InputError."""
    with pytest.raises(InputError) as refused:
        ask(url, **options)
    with pytest.raises(InputError) as refused_async:
        asyncio.run(ask_async(url, **options))
    return {str(refused.value), str(refused_async.value)}


@pytest.mark.parametrize(("variable", "value", "words"), VARIABLES)
def test_a_variable_that_httpx_cannot_use_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
):
    monkeypatch.setenv(variable, value)
    (message,) = refusals()
    assert words in message
    assert "\n" not in message
    assert "secret" not in message


@pytest.mark.parametrize("url", URLS, ids=lambda url: repr(url[:30]))
def test_an_address_that_is_none_is_shown_with_an_example(url: str):
    (message,) = refusals(url)
    assert repr(url[:80]) in message
    assert "http://localhost:8000" in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("schlüssel", "not ASCII; check the token"),
        ("two\nlines", "line breaks"),
        ("nul\x00", "line breaks"),
    ],
)
def test_a_token_that_no_header_can_hold_is_refused(token: str, words: str):
    (message,) = refusals(token=token)
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("url", "variables"),
    [
        ("http://localhost:port", {}),
        ("localhost", {}),
        (CLOSED, {"NO_PROXY": "[::1]"}),
        (CLOSED, {"ALL_PROXY": "socks5://127.0.0.1:1080"}),
        (CLOSED, {"SSL_CERT_FILE": "/no/such/file.pem"}),
    ],
)
@pytest.mark.parametrize("command", [["generate"], ["models"], ["bench", "--duration", "1"]])
def test_the_command_prints_one_line_and_no_traceback(
    tmp_path: Path, url: str, variables: dict[str, str], command: list[str]
):
    done = subprocess.run(
        [sys.executable, "-m", "zserve_client", *command, "--url", url],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | variables,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("zserve: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
