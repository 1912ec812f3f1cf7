"""Whole requests for files of versions and of the page, with hostile names and headers.

`exact` is an exact version and has golden hashes; `mnist` has latents of test images.
"""

from collections.abc import Iterator

from tests.hostile.case import Case
from tests.hostile.requests import raw

MISSING = (404, "not-found")
INVALID = (422, "invalid-parameter")
REFERENCE = (422, "invalid-reference")
FINE = (200, "")
SAME = (304, "")
NOT_ALLOWED = (405, "method-not-allowed")

_EXACT = "/models/exact/1/files/exact.safetensors"
_GOLDEN = "/models/exact/1/files/golden.json"
_STATIC = "/static/style.css"


def cases() -> Iterator[Case]:
    for name, target, answer in names():
        yield Case(f"{name}.http", raw(target), *answer, "")
    for place, target in {"file": _EXACT, "static": _STATIC, "list": "/models"}.items():
        for name, line, answer in headers():
            yield Case(f"{place}_{name}.http", raw(target, line), *answer, "")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        for place, target in {"file": _EXACT, "static": _STATIC}.items():
            content = raw(target, method=method)
            yield Case(f"{place}_method_{method.lower()}.http", content, *NOT_ALLOWED, "")


def names() -> Iterator[tuple[str, str, tuple[int, str]]]:
    for file in ("exact.safetensors", "golden.json"):
        answer = (404, "file-not-found")
        yield f"file_{file}_of_a_float_version", f"/models/mnist/1/files/{file}", answer
    yield (
        "file_latents_missing",
        "/models/exact/1/files/encoded_images.safetensors",
        (
            404,
            "encoded-images-not-found",
        ),
    )
    yield (
        "file_snapshots_missing",
        "/models/mnist/1/files/snapshots.json",
        (
            404,
            "snapshots-not-found",
        ),
    )
    for name, file in {
        "weights": "weights.safetensors",
        "manifest": "manifest.json",
        "checksums": "SHA256SUMS",
        "hidden": ".aliases.lock",
        "upper_case": "GOLDEN.JSON",
        "nul": "golden.json%00",
        "nul_before_suffix": "golden%00.json",
        "space": "golden.json%20",
        "line_break": "golden.json%0D%0AX-A:%20b",
        "doubly_encoded": "%252e%252e%252fmanifest.json",
        "backslash": "..%5cmanifest.json",
        "fullwidth": "%EF%BD%87olden.json",
        "utf8_invalid": "%ff%fe",
        "surrogate": "%ed%a0%80",
        "proto": "__proto__",
        "html": "%3Cimg%20src=x%20onerror=alert(1)%3E",
        "of_30000_characters": "g" * 30_000,
        "query_as_name": "golden.json%3Fa=b",
    }.items():
        yield f"file_name_{name}", f"/models/exact/1/files/{file}", INVALID
    for name, rest in {
        "empty": "",
        "slash_before": "/golden.json",
        "slash_after": "golden.json/a",
        "traversal": "../golden.json",
        "traversal_encoded": "..%2f..%2fexact%2f1%2fgolden.json",
        "absolute": "%2fetc%2fpasswd",
    }.items():
        yield f"file_path_{name}", f"/models/exact/1/files/{rest}", MISSING
    yield "file_path_parent", "/models/exact/1/files/..", INVALID
    for name, version in {
        "0": "0",
        "01": "01",
        "negative": "-1",
        "plus": "+1",
        "float": "1.0",
        "arabic_digit": "%D9%A1",
        "superscript": "%C2%B9",
        "of_30_digits": "9" * 30,
        "of_30000_digits": "9" * 30_000,
        "nul": "1%00",
        "two": "1@1",
        "upper_case": "Production",
    }.items():
        yield f"file_version_{name}", f"/models/exact/{version}/files/golden.json", REFERENCE
    missing = (404, "alias-not-found")
    yield "file_version_constructor", "/models/exact/constructor/files/golden.json", missing
    for name, model in {
        "dots": "%2e%2e",
        "upper_case": "EXACT",
        "with_version": "exact@1",
        "nul": "exact%00",
        "of_30000_characters": "e" * 30_000,
    }.items():
        yield f"file_model_{name}", f"/models/{model}/1/files/golden.json", REFERENCE
    yield "file_with_a_query", f"{_GOLDEN}?version=2&file=manifest.json", FINE


def headers() -> Iterator[tuple[str, str, tuple[int, str]]]:
    for name, line in {
        "coding_star": "Accept-Encoding: *",
        "coding_star_0": "Accept-Encoding: *;q=0",
        "coding_nothing_at_all": "Accept-Encoding: *;q=0, identity;q=0",
        "coding_empty": "Accept-Encoding:",
        "coding_unknown": "Accept-Encoding: br, zstd, exe",
        "coding_quality_nan": "Accept-Encoding: gzip;q=nan",
        "coding_quality_infinite": "Accept-Encoding: gzip;q=inf, deflate;q=-inf",
        "coding_quality_of_50000_digits": "Accept-Encoding: gzip;q=0." + "9" * 50_000,
        "coding_bytes": "Accept-Encoding: \xff\xfe;q=\xff",
        "coding_10000": "Accept-Encoding: " + "a," * 10_000,
        "coding_gzip_10000": "Accept-Encoding: " + "gzip," * 10_000,
        "coding_semicolons": "Accept-Encoding: gzip" + ";" * 50_000,
        "coding_underscore": "Accept-Encoding: gzip;q=1_0",
        "range_of_bytes": "Range: bytes=0-0",
        "range_backwards": "Range: bytes=5-2",
        "range_beyond": "Range: bytes=999999999999-",
        "range_last_0": "Range: bytes=-0",
        "range_of_5000_digits": "Range: bytes=0-" + "9" * 5000,
        "range_10000": "Range: bytes=" + "0-," * 10_000,
        "range_90_overlapping": "Range: bytes=" + ",".join(["0-"] * 90),
        "range_90_apart": "Range: bytes=" + ",".join(f"{i}-{i}" for i in range(0, 180, 2)),
        "range_of_lines": "Range: lines=1-2",
        "range_garbage": "Range: \xff",
        "if_range": 'Range: bytes=0-0\r\nIf-Range: "nothing"',
        "if_none_match_garbage": 'If-None-Match: "unclosed',
        "if_none_match_quotes": "If-None-Match: " + '"' * 50_000,
        "if_none_match_10000": "If-None-Match: " + '"a",' * 10_000,
        "if_modified_since_word": "If-Modified-Since: yesterday",
        "if_modified_since_1970": "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
        "if_modified_since_of_50000_digits": "If-Modified-Since: Thu, 01 Jan " + "9" * 50_000,
        "if_modified_since_colons": "If-Modified-Since: " + ":" * 50_000,
        "if_match": 'If-Match: "nothing"',
        "accept_nothing": "Accept: */*;q=0",
        "content_encoding": "Content-Encoding: identity",
    }.items():
        yield name, line, FINE
    yield "if_none_match_star", "If-None-Match: *", SAME
