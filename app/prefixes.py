"""Paths under which a reverse proxy publishes the service, such as /zserve."""

import re

_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*")
"""Pattern of a prefix. It is part of Location headers, so it must not begin with two slashes."""


def normal_prefix(text: str) -> str:
    """Return a prefix without a slash at its end; "" stands for the root of the host.

    Raises ValueError if the text is not a path of plain characters that begins with a slash.
    """
    prefix = text.strip().removesuffix("/")
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(
            "a path begins with one slash, and has letters, digits and . _ ~ - between its slashes"
        )
    return prefix


def forwarded_prefix(header: str) -> str:
    """Return the prefix that X-Forwarded-Prefix names; "" if there is none, or if it is no path.

    Each of several proxies adds the prefix that it has removed, the outermost proxy first.
    """
    try:
        return "".join(normal_prefix(part) for part in header.split(","))
    except ValueError:
        return ""
