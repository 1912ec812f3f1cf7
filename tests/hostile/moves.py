"""Whole requests that edit, traverse, vary and score with hostile parameters and bodies.

The model `moving` has the directions `slant`, `thickness` and `class:a, b`, and three latent
dimensions; `mnist` has no directions.
"""

from collections.abc import Iterator

from tests.hostile.case import Case
from tests.hostile.json_bodies import latents
from tests.hostile.png_files import usual
from tests.hostile.requests import raw

INVALID = (422, "invalid-parameter")
LIMIT = (422, "limit-exceeded")
UNSUPPORTED = (415, "unsupported-body")
FINE = (200, "")

_TRAVERSE = "/traverse?model=moving&seed=1"
_JSON = "Content-Type: application/json"


def cases() -> Iterator[Case]:
    for name, query, answer in (*directions(), *sizes(), *traversals()):
        yield Case(f"{name}.http", raw(query, method="POST"), *answer, "")
    for name, body, answer in bodies():
        target = "/edit?model=moving&direction=slant"
        yield Case(f"edit_body_{name}.http", _with_body(target, _JSON, body), *answer, "")
    for name, target, content_type, body, answer in uploads():
        yield Case(f"{name}.http", _with_body(target, content_type, body), *answer, "")


def _with_body(target: str, content_type: str, body: bytes) -> bytes:
    length = f"Content-Length: {len(body)}"
    return raw(target, *filter(None, [content_type]), length, method="POST", body=body)


def directions() -> Iterator[tuple[str, str, tuple[int, str]]]:
    values = {
        "unknown": "smile",
        "comma": ",",
        "two_commas": "slant,,thickness",
        "comma_at_the_end": "slant,",
        "twice": "slant,slant",
        "upper_case": "SLANT",
        "class_cut_at_its_comma": "class:a",
        "class_unknown": "class:7",
        "prefix_only": "class:",
        "proto": "__proto__",
        "html": "%3Cscript%3E",
        "nul": "slant%00",
        "line_break": "slant%0Athickness",
        "utf8_invalid": "%ff%fe",
        "surrogate": "%ed%a0%80",
        "of_30000_commas": "," * 30_000,
        "of_5000_names": "slant," * 5000,
        "of_30000_characters": "s" * 30_000,
    }
    for name, value in values.items():
        yield f"edit_direction_{name}", f"/edit?model=moving&seed=1&direction={value}", INVALID
        yield f"traverse_direction_{name}", f"{_TRAVERSE}&direction={value}", INVALID
    yield "edit_direction_empty", "/edit?model=moving&seed=1&direction=", INVALID
    yield "traverse_direction_empty", f"{_TRAVERSE}&direction=", FINE
    yield "edit_direction_missing", "/edit?model=moving&seed=1", INVALID
    yield "edit_direction_repeated", "/edit?seed=1&direction=slant&direction=slant", INVALID
    yield "edit_model_without_directions", "/edit?seed=1&direction=slant", INVALID
    yield (
        "edit_three",
        "/edit?model=moving&seed=1&direction=slant,class:a,%20b,thickness&by=1,2,3",
        FINE,
    )
    yield "edit_with_spaces", "/edit?model=moving&seed=1&direction=%20slant%20&by=%201%20", FINE


def sizes() -> Iterator[tuple[str, str, tuple[int, str]]]:
    edit = "/edit?model=moving&seed=1&direction=slant&by="
    for name, by in {
        "word": "far",
        "nan": "nan",
        "infinity": "inf",
        "exponent": "1e1",
        "1e999": "1e999",
        "hexadecimal": "0x1",
        "underscore": "1_0",
        "arabic_digit": "%D9%A1",
        "fullwidth_digit": "%EF%BC%91",
        "two_signs": "--1",
        "point_only": ".",
        "two_points": "1.5.2",
        "two_for_one": "1,2",
        "comma": ",",
        "of_60000_digits": "9" * 60_000,
        "of_30000_numbers": "1," * 30_000,
        "of_16_decimals": "0.1234567890123456",
        "nul": "1%00",
        "line_break": "1%0A2",
    }.items():
        yield f"edit_by_{name}", edit + by, INVALID
    yield "edit_by_11", f"{edit}11", LIMIT
    yield "edit_by_minus_11", f"{edit}-11", LIMIT
    yield "edit_by_999999999", f"{edit}999999999", LIMIT
    yield "edit_by_empty", edit, FINE
    yield "edit_by_minus_0", f"{edit}-0", FINE
    yield "edit_by_plus", f"{edit}%2B.5", FINE
    yield "edit_scale_for_too_many_pixels", f"{edit}1&scale=17", LIMIT
    yield "edit_without_a_start", "/edit?model=moving&direction=slant", INVALID
    yield "edit_seed_2_to_the_32", f"/edit?model=moving&direction=slant&seed={2**32}", LIMIT


def traversals() -> Iterator[tuple[str, str, tuple[int, str]]]:
    all_three = "direction=slant,thickness,class:a,%20b"
    yield "traverse_direction_and_dims", f"{_TRAVERSE}&direction=slant&dims=0", INVALID
    yield "traverse_direction_steps_86", f"{_TRAVERSE}&{all_three}&steps=86", LIMIT
    yield "traverse_direction_steps_85", f"{_TRAVERSE}&{all_three}&steps=85", FINE
    yield "traverse_direction_steps_1", f"{_TRAVERSE}&direction=slant&steps=1", LIMIT
    yield "traverse_direction_steps_huge", f"{_TRAVERSE}&direction=slant&steps={10**18}", LIMIT
    yield "traverse_direction_span_11", f"{_TRAVERSE}&direction=slant&span=11", LIMIT
    yield "traverse_direction_span_nan", f"{_TRAVERSE}&direction=slant&span=nan", INVALID
    yield "traverse_direction_without", "/traverse?seed=1&direction=slant", INVALID


def bodies() -> Iterator[tuple[str, bytes, tuple[int, str]]]:
    """Yield the JSON bodies of /decode, which /edit reads as well."""
    for name, content, answer in latents():
        if len(content) < 200_000:
            yield name, content, answer
    yield "rows_256", b'{"z": [' + b",".join([b"[0, 0, 0]"] * 256) + b"]}", FINE
    yield "rows_257", b'{"z": [' + b",".join([b"[0, 0, 0]"] * 257) + b"]}", LIMIT
    yield "largest_float", b'{"z": [[3.4e38, -3.4e38, 0]]}', FINE


def uploads() -> Iterator[tuple[str, str, str, bytes, tuple[int, str]]]:
    png, image = usual(), "Content-Type: image/png"
    edit = "/edit?model=moving&direction=slant"
    yield "edit_json_and_seed", f"{edit}&seed=1", _JSON, b'{"z": [[0, 0, 0]]}', INVALID
    yield "edit_image_and_seed", f"{edit}&seed=1", image, png, INVALID
    yield "edit_image_cut", edit, image, png[:40], (422, "corrupt-image")
    yield "edit_text", edit, "Content-Type: text/plain", b"slant", UNSUPPORTED
    yield "edit_body_without_type", edit, "", b"slant", UNSUPPORTED
    for name, query, answer in (
        ("draws_0", "draws=0", LIMIT),
        ("draws_4097", "draws=4097", LIMIT),
        ("draws_2_to_the_70", f"draws={2**70}", LIMIT),
        ("draws_word", "draws=many", INVALID),
        ("draws_nan", "draws=nan", INVALID),
        ("seed_negative", "seed=-1", LIMIT),
        ("format_png", "format=png", INVALID),
        ("n", "n=2", INVALID),
        ("model_traversal", "model=..%2Fmnist", (422, "invalid-reference")),
    ):
        yield f"score_{name}", f"/score?{query}", image, png, answer
    yield "score_nothing", "/score", image, b"", (422, "empty-image")
    yield "score_image_cut", "/score", image, png[:40], (422, "corrupt-image")
    yield "score_text", "/score", "Content-Type: text/plain", b"seven", UNSUPPORTED
    yield "score_json", "/score", _JSON, b'{"z": [[0, 0, 0]]}', UNSUPPORTED
    for name, query, answer in (
        ("n_0", "n=0", LIMIT),
        ("n_257", "n=257", LIMIT),
        ("n_word", "n=many", INVALID),
        ("temperature_nan", "temperature=nan", INVALID),
        ("temperature_11", "temperature=11", LIMIT),
        ("columns_huge", f"columns={10**18}", LIMIT),
        ("draws", "draws=2", INVALID),
    ):
        yield f"augment_{name}", f"/augment?{query}", image, png, answer
    yield "augment_nothing", "/augment", image, b"", (422, "empty-image")
    yield "augment_json", "/augment", _JSON, b'{"z": [[0, 0, 0]]}', UNSUPPORTED
    form = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    two = (form + png + b"\r\n") * 2 + b"--b--\r\n"
    multipart = "Content-Type: multipart/form-data; boundary=b"
    yield "augment_two_images", "/augment", multipart, two, INVALID
