"""Whole requests with hostile queries, paths, headers or framing, as they go over the wire."""

from collections.abc import Iterator

from tests.hostile.case import Case

INVALID = (422, "invalid-parameter")
LIMIT = (422, "limit-exceeded")
REFERENCE = (422, "invalid-reference")
MISSING = (404, "not-found")
FINE = (200, "")
CLOSED = (0, "")


def raw(
    target: str, *headers: str, method: str = "GET", body: bytes = b"", host: str = "Host: a"
) -> bytes:
    """Return a request; the connection is closed after its answer."""
    lines = [
        f"{method} {target} HTTP/1.1",
        *([host] if host else []),
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def cases() -> Iterator[Case]:
    for name, query, answer in queries():
        target = query if query.startswith("/") else f"/generate?{query}"
        yield Case(f"query_{name}.http", raw(target, method="POST"), *answer, target)
    for name, target, answer in paths():
        yield Case(f"path_{name}.http", raw(target), *answer, target)
    for name, content, answer in (*headers(), *framing()):
        yield Case(f"{name}.http", content, *answer, "")


def queries() -> Iterator[tuple[str, str, tuple[int, str]]]:
    limits = {
        "n_0": "n=0",
        "n_negative": "n=-1",
        "n_257": "n=257",
        "n_2_to_the_63": f"n={2**63}",
        "seed_negative": "seed=-1",
        "seed_2_to_the_32": f"seed={2**32}",
        "temperature_negative": "temperature=-0.1",
        "temperature_11": "temperature=11",
        "columns_0": "columns=0",
        "scale_0": "scale=0",
        "scale_17": "scale=17",
        "scale_for_too_many_pixels": "n=256&scale=16",
        "steps_1": "/interpolate?seed_a=1&seed_b=2&steps=1",
        "steps_huge": "/interpolate?seed_a=1&seed_b=2&steps=1000000",
        "dims_beyond": "/traverse?dims=3",
        "span_11": "/traverse?span=11",
        "span_negative": "/traverse?span=-1",
    }
    for name, query in limits.items():
        yield name, query, LIMIT
    invalid = {
        "n_float": "n=1.5",
        "n_word": "n=many",
        "n_hexadecimal": "n=0x10",
        "n_exponent": "n=1e1",
        "n_space": "n=%201%202",
        "n_nul": "n=1%00",
        "n_5000_digits": "n=" + "9" * 5000,
        "n_twice": "n=1&n=2",
        "n_1000_times": "&".join(["n=1"] * 1000),
        "seed_word": "seed=random",
        "temperature_nan": "temperature=nan",
        "temperature_infinity": "temperature=inf",
        "temperature_1e999": "temperature=1e999",
        "format_unknown": "format=exe",
        "format_traversal": "format=../png",
        "metadata_word": "metadata=perhaps",
        "parameter_unknown": "amount=3",
        "parameter_upper_case": "N=3",
        "parameter_proto": "__proto__=3",
        "parameter_constructor": "constructor[prototype]=3",
        "parameter_html": "%3Cscript%3E=1",
        "parameters_1000": "&".join(f"a{i}=1" for i in range(1000)),
        "path_of_another_call": "path=slerp",
        "label_without_classes": "label=7",
        "dims_word": "/traverse?dims=first",
        "dims_negative": "/traverse?dims=-1",
        "dims_10000": "/traverse?dims=" + ",".join(["0"] * 10_000),
        "path_unknown": "/interpolate?seed_a=1&seed_b=2&path=spline",
        "one_seed": "/interpolate?seed_a=1",
    }
    for name, query in invalid.items():
        yield name, query, INVALID
    for name, model in {
        "traversal": "..%2F..%2Fetc%2Fpasswd",
        "absolute": "%2Fetc%2Fpasswd",
        "nul": "mnist%00",
        "upper_case": "MNIST",
        "space": "mnist%20",
        "two_versions": "mnist@1@2",
        "version_0": "mnist@0",
        "version_negative": "mnist@-1",
        "version_float": "mnist@1.0",
        "of_5000_characters": "m" * 5000,
        "unicode_digit": "mnist@%D9%A1",
        "line_break": "mnist%0A",
    }.items():
        yield f"model_{name}", f"model={model}", REFERENCE
    yield "model_unknown", "model=nothing", (404, "model-not-found")
    yield "model_version_unknown", "model=mnist@999", (404, "version-not-found")
    yield "model_version_of_30_digits", "model=mnist@" + "9" * 30, REFERENCE
    yield "model_alias_unknown", "model=mnist@nothing", (404, "alias-not-found")
    yield "model_alias_constructor", "model=mnist@constructor", (404, "alias-not-found")
    yield "empty_values", "n=&seed=&model=", FINE
    yield "signs_only", "&&&=&=", INVALID
    yield "percent_cut", "n=%", INVALID
    yield "percent_not_hexadecimal", "n=%zz", INVALID
    yield "utf8_invalid", "model=%ff%fe", REFERENCE
    yield "of_100000_characters", "seed=" + "1" * 100_000, (414, "url-too-long")


def paths() -> Iterator[tuple[str, str, tuple[int, str]]]:
    for name, path in {
        "traversal": "/static/../../../../etc/passwd",
        "traversal_encoded": "/static/%2e%2e/%2e%2e/app/settings.py",
        "traversal_of_slashes": "/static/..%2f..%2fsettings.py",
        "traversal_backslash": "/static/..%5c..%5csettings.py",
        "traversal_doubly_encoded": "/static/%252e%252e/settings.py",
        "absolute_below_static": "/static//etc/passwd",
        "nul_below_static": "/static/index.html%00.js",
        "folder_of_static": "/static/",
        "unknown": "/admin",
        "git": "/.git/config",
        "environment": "/.env",
        "upper_case": "/GENERATE",
        "script": "/%3Cscript%3Ealert(1)%3C/script%3E",
        "of_dots": "/./generate",
        "two_slashes": "//generate",
        "of_30000_characters": "/" + "a" * 30_000,
        "name_of_5000_characters_below_static": "/static/" + "a" * 5000,
    }.items():
        yield name, path, MISSING
    yield "figure_traversal", "/models/mnist/1/figures/..%2F..%2Fmanifest.png", MISSING
    yield "file_traversal", "/models/mnist/1/files/..%2F..%2Fmanifest.json", MISSING
    yield "figure_unknown", "/models/mnist/1/figures/nothing.png", (404, "figure-not-found")
    yield "model_invalid", "/models/No%20Such", REFERENCE
    yield "model_unknown", "/models/nothing", (404, "model-not-found")
    yield "version_invalid", "/models/mnist/-1", REFERENCE
    yield "version_unknown", "/models/mnist/999", (404, "version-not-found")


def headers() -> Iterator[tuple[str, bytes, tuple[int, str]]]:
    seeded = "/generate?seed=1&n=1"
    for name, line in {
        "accept_quality_negative": "Accept: image/png;q=-1, image/png",
        "accept_star_1000_times": "Accept: " + ", ".join(["*/*"] * 1000),
        "accept_parameters": 'Accept: image/png;a=b;c="d,e"',
        "if_none_match_garbage": 'If-None-Match: "unclosed',
        "if_none_match_1000": "If-None-Match: " + ", ".join(f'"{i}"' for i in range(1000)),
        "range_of_bytes": "Range: bytes=0-0,-1,5-2",
        "range_1000": "Range: bytes=" + ",".join(["0-"] * 1000),
        "request_id_with_html": "X-Request-ID: <script>alert(1)</script>",
        "request_id_of_5000_characters": "X-Request-ID: " + "a" * 5000,
        "traceparent_garbage": "traceparent: 00-zz-zz-zz",
        "traceparent_of_zeros": f"traceparent: 00-{'0' * 32}-{'0' * 16}-01",
        "forwarded_for_garbage": "X-Forwarded-For: ' OR 1=1 --, \xff",
        "forwarded_host": "X-Forwarded-Host: evil.example",
        "authorization_garbage": "Authorization: Bearer \xff\xfe",
        "cookie_of_5000_characters": "Cookie: " + "a" * 5000,
        "upgrade_to_websocket": "Upgrade: websocket",
        "upgrade_to_http2": "Upgrade: h2c",
        "method_override": "X-HTTP-Method-Override: DELETE",
        "content_type_of_nothing": "Content-Type: image/png",
    }.items():
        yield f"header_{name}", raw(seeded, line), FINE
    yield (
        "header_accept_nothing_that_is_offered",
        raw(seeded, "Accept: text/html"),
        (406, "not-acceptable"),
    )
    yield "header_accept_garbage", raw(seeded, "Accept: \xff\xfe;;q=,,,"), (406, "not-acceptable")
    yield "header_accept_quality_0", raw(seeded, "Accept: */*;q=0"), (406, "not-acceptable")
    yield "header_of_100_kb", raw(seeded, "X-A: " + "a" * 100_000), (431, "headers-too-large")
    yield (
        "header_5000_times",
        raw(seeded, *["X-A: aaaaaaaaaaaaaaaa"] * 5000),
        (431, "headers-too-large"),
    )
    yield "header_host_missing", raw(seeded, host=""), (400, "malformed-request")
    yield "header_host_twice", raw(seeded, "Host: b"), (400, "malformed-request")
    body = b"x" * 10
    length = f"Content-Length: {len(body)}"
    for name, coding in {
        "gzip": "gzip",
        "deflate": "deflate",
        "brotli": "br",
        "garbage": "x, y, z",
    }.items():
        lines = ("Content-Type: image/png", f"Content-Encoding: {coding}", length)
        content = raw("/reconstruct", *lines, method="POST", body=body)
        yield f"header_content_encoding_{name}", content, (415, "unsupported-body")
    token = ("Content-Type: application/json", "Content-Length: 14")
    promotion = b'{"version": 1}'
    target = "/models/mnist/aliases/production"
    for name, line in {
        "missing": "X-A: a",
        "empty": "Authorization:",
        "basic": "Authorization: Basic YWRtaW46YWRtaW4=",
        "wrong": "Authorization: Bearer wrong",
    }.items():
        content = raw(target, line, *token, method="PUT", body=promotion)
        yield f"header_token_{name}", content, (401, "unauthorized")


def framing() -> Iterator[tuple[str, bytes, tuple[int, str]]]:
    for name, content in {
        "empty_line": b"\r\n\r\nhello\r\n\r\n",
        "word": b"hello\r\n\r\n",
        "binary": bytes(range(128, 200)) + b"\r\n\r\n",
        "tls_hello": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(60),
        "http2_preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "version_9": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        "method_lower_case_word": b"get-it / HTTP/1.1\r\nHost: a\r\n\r\n",
        "query_not_ascii": raw("/generate?amount=\xa9", method="POST"),
        "path_not_ascii": raw("/gener\xe4te"),
        "header_name_with_space": raw("/healthz", "X A: a"),
        "header_name_empty": raw("/healthz", ": a"),
        "header_with_nul": raw("/healthz", "X-A: a\0b"),
        "header_without_colon": raw("/healthz", "hello"),
        "length_negative": raw("/encode", "Content-Length: -1", method="POST"),
        "length_word": raw("/encode", "Content-Length: ten", method="POST"),
        "length_of_30_digits": raw("/encode", "Content-Length: " + "9" * 30, method="POST"),
        "length_two_values": raw(
            "/encode", "Content-Length: 1", "Content-Length: 2", method="POST", body=b"xx"
        ),
        "length_and_chunks": raw(
            "/encode",
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            method="POST",
            body=b"0\r\n\r\n",
        ),
        "chunk_size_word": raw(
            "/encode", "Transfer-Encoding: chunked", method="POST", body=b"xyz\r\nabc\r\n"
        ),
        "chunk_size_negative": raw(
            "/encode", "Transfer-Encoding: chunked", method="POST", body=b"-1\r\nabc\r\n"
        ),
        "chunk_size_of_40_digits": raw(
            "/encode", "Transfer-Encoding: chunked", method="POST", body=b"f" * 40 + b"\r\n"
        ),
    }.items():
        yield f"framing_{name}", content, (400, "malformed-request")
    yield (
        "framing_length_above_limit",
        raw("/encode", "Content-Type: image/png", "Content-Length: 99999999999", method="POST"),
        (413, "body-too-large"),
    )
    for method, answer in {
        "DELETE": (405, "method-not-allowed"),
        "PATCH": (405, "method-not-allowed"),
        "TRACE": (405, "method-not-allowed"),
        "PROPFIND": (405, "method-not-allowed"),
    }.items():
        yield f"method_{method.lower()}", raw("/generate", method=method), answer
    yield (
        "body_for_generate",
        raw("/generate", "Content-Length: 2", method="POST", body=b"{}"),
        (415, "unsupported-body"),
    )
