"""Forms whose parts, headers or boundary are wrong."""

from collections.abc import Iterator

from tests.hostile.case import Case
from tests.hostile.png_files import usual

FORM = "multipart/form-data; boundary=b"
MALFORMED = (400, "malformed-body")
FIELD = (422, "wrong-field")
LIMIT = (422, "limit-exceeded")
FINE = (200, "")
USUAL = 'form-data; name="image"; filename="a.png"'
Row = tuple[str, bytes, str, tuple[int, str]]


def part(disposition: str = USUAL, content: bytes = b"", extra: bytes = b"") -> bytes:
    """Return a part with its boundary."""
    head = b"--b\r\nContent-Disposition: " + disposition.encode() + b"\r\n" + extra + b"\r\n"
    return head + (content or usual()) + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


def cases() -> Iterator[Case]:
    for name, content, content_type, answer in (*boundaries(), *structures(), *fields(), *files()):
        yield Case(f"{name}.form", content, *answer, content_type=content_type)


def boundaries() -> Iterator[Row]:
    for name, content_type in {
        "boundary_missing": "multipart/form-data",
        "boundary_empty": "multipart/form-data; boundary=",
        "boundary_of_another_form": "multipart/form-data; boundary=other",
        "boundary_of_5000_characters": "multipart/form-data; boundary=" + "x" * 5000,
        "boundary_with_line_break": "multipart/form-data; boundary=a%0d%0ab",
        "boundary_in_wrong_quotes": "multipart/form-data; boundary='b'",
    }.items():
        yield name, form(part()), content_type, MALFORMED
    yield "boundary_twice", form(part()), "multipart/form-data; boundary=b; boundary=c", MALFORMED
    yield "boundary_longer_in_body", form(part()).replace(b"--b", b"--bb"), FORM, MALFORMED
    yield "type_mixed", form(part()), "multipart/mixed; boundary=b", (415, "unsupported-body")
    yield "type_related", form(part()), "multipart/related; boundary=b", (415, "unsupported-body")
    yield "type_upper_case", form(part()), "MULTIPART/FORM-DATA; BOUNDARY=b", FINE
    for charset in ("undefined", "punycode", "idna"):
        answer = FINE if charset == "idna" else MALFORMED
        yield f"type_with_charset_{charset}", form(part()), f"{FORM}; charset={charset}", answer
    yield "type_with_charset", form(part()), FORM + "; charset=\xff", FINE


def structures() -> Iterator[Row]:
    whole = form(part())
    for name, content in {
        "text": b"hello",
        "png_without_form": usual(),
        "unix_line_ends": whole.replace(b"\r\n", b"\n"),
        "header_without_colon": b"--b\r\nContent-Disposition\r\n\r\nx\r\n--b--\r\n",
        "header_name_with_space": b"--b\r\nContent Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        "header_name_empty": b"--b\r\n: form-data\r\n\r\nx\r\n--b--\r\n",
        "header_with_nul": b"--b\r\nContent-Disposition\0: form-data\r\n\r\nx\r\n--b--\r\n",
        "header_cut_by_line_feed": b"--b\r\nContent-Disposition: form-data\n\r\n\r\nx\r\n--b--\r\n",
        "part_without_headers": b"--b\r\n\r\nx\r\n--b--\r\n",
        "part_without_disposition": b"--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b--\r\n",
    }.items():
        yield f"structure_{name}", content, FORM, MALFORMED
    for name, content in {
        "empty": b"",
        "line_break_only": b"\r\n",
        "dashes_only": b"--",
        "first_boundary_only": b"--b",
        "first_boundary_and_line_break": b"--b\r\n",
        "cut_in_part_header": whole[:30],
        "cut_in_content": whole[:90],
        "last_boundary_missing": part(),
    }.items():
        yield f"structure_{name}", content, FORM, FIELD  # a part without an end is no part
    yield "structure_last_boundary_without_dashes", part() + b"--b\r\n", FORM, FINE
    yield "structure_no_parts", b"--b--\r\n", FORM, FIELD
    yield "structure_text_before", b"preamble\r\n" + whole, FORM, MALFORMED
    yield "structure_text_after", whole + b"epilogue", FORM, FINE
    yield (
        "structure_header_of_100_kb",
        form(part(extra=b"X-A: " + b"a" * 100_000 + b"\r\n")),
        FORM,
        MALFORMED,
    )
    yield "structure_headers_5000", form(part(extra=b"X-A: a\r\n" * 5000)), FORM, MALFORMED


def fields() -> Iterator[Row]:
    for name, disposition in {
        "name_empty": 'form-data; name=""; filename="a.png"',
        "name_unknown": 'form-data; name="picture"; filename="a.png"',
        "name_in_upper_case": 'form-data; name="IMAGE"; filename="a.png"',
        "name_with_space": 'form-data; name="image "; filename="a.png"',
        "name_with_brackets": 'form-data; name="image[]"; filename="a.png"',
        "name_with_html": 'form-data; name="<script>alert(1)</script>"; filename="a.png"',
        "name_proto": 'form-data; name="__proto__"; filename="a.png"',
        "name_of_other_call": 'form-data; name="a"; filename="a.png"',
    }.items():
        yield f"field_{name}", form(part(disposition)), FORM, FIELD
    yield "field_name_missing", form(part('form-data; filename="a.png"')), FORM, MALFORMED
    yield "field_text_instead_of_file", form(part('form-data; name="image"', b"hello")), FORM, FIELD
    yield (
        "field_left_empty",
        form(part('form-data; name="image"; filename=""', b"\r\n")[:-4] + b"\r\n"),
        FORM,
        FIELD,
    )
    long = "i" * 5000
    for name, disposition in {
        "name_of_5000_characters": f'form-data; name="{long}"; filename="a.png"',
        "file_name_of_5000_characters": f'form-data; name="image"; filename="{long}.png"',
    }.items():
        yield f"field_{name}", form(part(disposition)), FORM, MALFORMED
    yield "field_and_unknown", form(part(), part('form-data; name="x"', b"y")), FORM, FIELD
    yield "field_257_times", form(*[part(content=b"x")] * 257), FORM, LIMIT
    yield "field_10000_times", form(*[part(content=b"x")] * 10_000), FORM, LIMIT
    yield "field_of_text_257_times", form(*[part('form-data; name="n"', b"1")] * 257), FORM, LIMIT


def files() -> Iterator[Row]:
    """The name and the type of a file mean nothing: its content decides."""
    for name, filename in {
        "path": "../../../../etc/passwd",
        "backslashes": "..\\..\\windows\\win.ini",
        "absolute": "/etc/passwd",
        "device": "/dev/stdin",
        "html": "<img src=x onerror=alert(1)>.png",
        "shell": "$(id);`id`.png",
        "percent": "%00%2e%2e%2f.png",
        "of_2000_characters": "a" * 2000 + ".png",
        "right_to_left": "\u202egnp.exe",
        "executable": "a.exe",
        "dots": "..",
    }.items():
        yield (
            f"file_{name}",
            form(part(f'form-data; name="image"; filename="{filename}"')),
            FORM,
            FINE,
        )
    yield "file_empty", form(part(content=b"\r\n")[:-4] + b"\r\n"), FORM, (422, "empty-image")
    yield "file_of_text", form(part(content=b"hello")), FORM, (415, "not-an-image")
    yield "file_type_html", form(part(extra=b"Content-Type: text/html\r\n")), FORM, FINE
    yield (
        "file_name_extended",
        form(part("form-data; name=image; filename*=UTF-8''a%2Fb.png")),
        FORM,
        FINE,
    )
    inner = form(part()).replace(b"--b", b"--inner")
    extra = b"Content-Type: multipart/mixed; boundary=inner\r\n"
    yield "file_of_a_form", form(part(content=inner, extra=extra)), FORM, (415, "not-an-image")
    yield (
        "file_good_and_damaged",
        form(part(), part(content=usual()[:40])),
        FORM,
        (422, "corrupt-image"),
    )
