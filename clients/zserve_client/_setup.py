"""Check the address of a service, and explain why httpx cannot be set up."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from zserve_client.errors import InputError

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
_SHOWN = 80
"""Maximum number of characters of an address in a message."""


def check_url(url: str) -> str:
    """Return the address of a service without a final slash; raises InputError if it is none."""
    example = "write it like http://localhost:8000"
    try:
        parts = httpx.URL(url)
        host = parts.raw_host.decode("ascii")
        host.encode("idna")  # as the resolver does
        host = parts.host  # as httpx does
    except (httpx.InvalidURL, UnicodeError) as error:
        reason = str(error).splitlines()[0][:_SHOWN]
        raise InputError(f"{url[:_SHOWN]!r} is not an address ({reason}); {example}") from error
    if parts.scheme not in {"http", "https"}:
        raise InputError(f"{url[:_SHOWN]!r} does not begin with http:// or https://; {example}")
    valid_host = host and (":" in host or "%" not in host)  # httpx quotes what no name can hold
    if not valid_host or not 0 <= (parts.port or 0) <= 65535:
        missing = "valid port" if valid_host else "valid host"
        raise InputError(f"{url[:_SHOWN]!r} has no {missing}; {example}")
    return url.rstrip("/")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise InputError if a header cannot be sent; its value is not shown, since it may be secret."""
    for name, value in headers.items():
        if not value.isascii():
            raise InputError(
                f"the header {name} has characters that are not ASCII; check the token"
            )
        if not value.isprintable():
            raise InputError(
                f"the header {name} has line breaks or control characters; check the token"
            )


@contextmanager
def explain_setup() -> Iterator[None]:
    """Turn what httpx raises while a client is created into InputError.

    Address and headers are valid, so the cause is a proxy or a file with certificates. Values of
    variables are not shown, because the address of a proxy may contain a password.
    """
    try:
        yield
    except OSError as error:
        reason = f"the file or folder of certificates cannot be read ({error.strerror or error})"
        raise InputError(f"{reason}; check {_variables(_CERTIFICATES)}") from error
    except ImportError as error:
        reason = "a SOCKS proxy needs the package socksio (`pip install 'httpx[socks]'`)"
        raise InputError(f"{reason}; install it, or change {_variables(_PROXIES)}") from error
    except (httpx.InvalidURL, ValueError) as error:
        reason = str(error) if isinstance(error, httpx.InvalidURL) else "its scheme is unknown"
        remedy = "a proxy is like http://host:3128, and NO_PROXY lists hosts without [ and ]"
        raise InputError(
            f"a proxy cannot be used ({reason}); check {_variables(_PROXIES)}: {remedy}"
        ) from error


def _variables(names: tuple[str, ...]) -> str:
    """Return those of these variables that are set, or the first one; case does not matter."""
    present = [name for name in os.environ if name.upper() in names]
    return ", ".join(present) or names[0]
