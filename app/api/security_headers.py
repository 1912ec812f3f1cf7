"""Headers that every answer has, by which a browser restricts what it loads, runs and frames."""

Headers = tuple[tuple[bytes, bytes], ...]


def security_headers(frame_ancestors: str = "") -> Headers:
    """Return the headers; `frame_ancestors` are the other sites that may show the page in a frame.

    X-Frame-Options cannot name sites, so it is left out if `frame_ancestors` names some.
    """
    policy = (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "
        "img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
        "base-uri 'none'; frame-ancestors 'self'"
    )
    if frame_ancestors:
        policy = f"{policy} {frame_ancestors}"
    same_origin = () if frame_ancestors else ((b"x-frame-options", b"SAMEORIGIN"),)
    return (
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        *same_origin,
        (b"referrer-policy", b"no-referrer"),
    )


SECURITY_HEADERS = security_headers()
"""One policy for the page and for everything else: the page is the only answer that loads others.

The page assembles WebAssembly, which decodes by itself; `wasm-unsafe-eval` allows that, but no `eval`.
"""
