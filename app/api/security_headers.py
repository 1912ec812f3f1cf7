"""Headers that every answer has, so that a browser trusts it with as little as possible."""

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        (
            b"default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "
            b"img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
            b"base-uri 'none'; frame-ancestors 'self'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"no-referrer"),
)
"""One policy for the page and for everything else: the page is the only answer that loads others.

The page assembles WebAssembly, which decodes by itself; `wasm-unsafe-eval` allows that, but no `eval`.
"""
