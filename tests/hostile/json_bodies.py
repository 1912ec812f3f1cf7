"""JSON bodies for /decode, whose model has three latent dimensions, and for setting an alias."""

import json
from collections.abc import Iterator

from tests.hostile.case import Case

MALFORMED = (400, "malformed-body")
INVALID = (422, "invalid-parameter")
LIMIT = (422, "limit-exceeded")
FINE = (200, "")


def cases() -> Iterator[Case]:
    for name, content, answer in latents():
        yield Case(f"{name}.json", content, *answer, "/decode", "application/json")
    for name, content_type in {
        "type_missing": "",
        "type_text": "text/plain",
        "type_form": "application/x-www-form-urlencoded",
        "type_png": "image/png",
        "type_xml": "application/xml",
        "type_of_5000_characters": "a/" + "b" * 5000,
        "type_of_many_slashes": "application/json/json",
    }.items():
        yield Case(
            f"{name}.json", b'{"z": [[0, 0, 0]]}', 415, "unsupported-body", "/decode", content_type
        )
    for name, content, answer in aliases():
        token = (("Authorization", "Bearer a-token-for-tests"),)
        yield Case(
            f"alias_{name}.json",
            content,
            *answer,
            "PUT /models/mnist/aliases/canary",
            "application/json",
            token,
        )


def latents() -> Iterator[tuple[str, bytes, tuple[int, str]]]:
    malformed = {
        "empty": b"",
        "space": b"   ",
        "word": b"hello",
        "cut": b'{"z": [[0, 0',
        "comma_at_the_end": b'{"z": [[0, 0, 0],]}',
        "single_quotes": b"{'z': [[0, 0, 0]]}",
        "comment": b'{"z": [[0, 0, 0]] /* three */}',
        "two_documents": b'{"z": [[0, 0, 0]]}{"z": [[0, 0, 0]]}',
        "zero_before_number": b'{"z": [[00, 0, 0]]}',
        "hexadecimal": b'{"z": [[0x1, 0, 0]]}',
        "plus": b'{"z": [[+1, 0, 0]]}',
        "point_only": b'{"z": [[., 0, 0]]}',
        "exponent_cut": b'{"z": [[1e, 0, 0]]}',
        "utf16": '{"z": [[0, 0, 0]]}'.encode("utf-16"),
        "control_character": b'{"z": [["\x01", 0, 0]]}',
        "lone_surrogate": b'{"z": [["\\ud800", 0, 0]]}',
        "nul_after": b'{"z": [[0, 0, 0]]}\0',
        "depth_100000": b"[" * 100_000,
        "depth_of_z": b'{"z": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        "depth_of_objects": b'{"z":' * 50_000,
    }
    for name, content in malformed.items():
        yield name, content, MALFORMED
    invalid = {
        "null": b"null",
        "true": b"true",
        "number": b"7",
        "string": b'"z"',
        "array": b"[]",
        "object_empty": b"{}",
        "z_null": b'{"z": null}',
        "z_number": b'{"z": 1}',
        "z_string": b'{"z": "0,0,0"}',
        "z_object": b'{"z": {"0": [0, 0, 0]}}',
        "z_empty": b'{"z": []}',
        "z_row_empty": b'{"z": [[]]}',
        "z_flat": b'{"z": [0, 0, 0]}',
        "z_too_deep": b'{"z": [[[0], [0], [0]]]}',
        "z_two_numbers": b'{"z": [[0, 0]]}',
        "z_four_numbers": b'{"z": [[0, 0, 0, 0]]}',
        "z_ragged": b'{"z": [[0, 0, 0], [0, 0]]}',
        "z_row_null": b'{"z": [[0, 0, null]]}',
        "z_row_object": b'{"z": [[0, 0, {}]]}',
        "z_1e999": b'{"z": [[1e999, 0, 0]]}',
        "z_above_float32": b'{"z": [[1e39, 0, 0]]}',
        "z_below_float32": b'{"z": [[-1e300, 0, 0]]}',
        "latin1": b'{"z": [["\xe4", 0, 0]]}',
        "overlong_utf8": b'{"z": [["\xc0\xaf", 0, 0]]}',
        "z_nan": b'{"z": [[NaN, 0, 0]]}',
        "z_infinity": b'{"z": [[Infinity, 0, 0]]}',
        "z_minus_infinity": b'{"z": [[-Infinity, 0, 0]]}',
        "z_4300_digits": b'{"z": [[1' + b"0" * 4300 + b", 0, 0]]}",
        "z_300000_digits": b'{"z": [[1' + b"0" * 300_000 + b", 0, 0]]}",
        "key_unknown": b'{"z": [[0, 0, 0]], "seed": 1}',
        "key_upper_case": b'{"Z": [[0, 0, 0]]}',
        "key_proto": b'{"__proto__": [[0, 0, 0]]}',
    }
    for name, content in invalid.items():
        yield name, content, INVALID
    row = b"[0,0,0]"
    yield "z_257_rows", b'{"z": [' + b",".join([row] * 257) + b"]}", LIMIT
    yield "z_100000_rows", b'{"z": [' + b",".join([row] * 100_000) + b"]}", LIMIT
    yield "z_strings_260000", b'{"z": [[' + b'"a",' * 260_000 + b"0]]}", LIMIT
    yield "z_row_of_400000_numbers", b'{"z": [[' + b"0," * 400_000 + b"0]]}", LIMIT
    yield (
        "keys_100000",
        b"{" + b",".join(b'"%d":0' % (i % 100) for i in range(100_000)) + b"}",
        LIMIT,
    )
    yield "byte_order_mark", b'\xef\xbb\xbf{"z": [[0, 0, 0]]}', FINE
    yield "z_of_zeros_after_the_point", b'{"z": [[0.' + b"0" * 4000 + b"1, -0, 1e-400]]}", FINE
    yield "spaces_500000", b" " * 500_000 + b'{"z": [[0, 0, 0]]}', FINE


def aliases() -> Iterator[tuple[str, bytes, tuple[int, str]]]:
    for name, value in {
        "version_0": 0,
        "version_negative": -1,
        "version_half": 1.5,
        "version_null": None,
        "version_list": [1],
        "version_word": "latest",
    }.items():
        answer = LIMIT if name in {"version_0", "version_negative"} else INVALID
        yield name, json.dumps({"version": value}).encode(), answer
    yield "version_missing", b"{}", INVALID
    yield "version_not_published", b'{"version": 999}', (404, "version-not-found")
    yield (
        "version_of_30_digits",
        b'{"version": 100000000000000000000000000000}',
        (422, "invalid-reference"),
    )
    yield "version_of_5000_digits", b'{"version": 1' + b"0" * 5000 + b"}", (413, "body-too-large")
