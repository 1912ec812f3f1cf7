"""Arrays for /compress, as npy and npz files. The model `exact` takes 8x9 grey pixels."""

import io
import struct
import warnings
import zipfile
from collections.abc import Iterator

from tests.hostile.case import Case

DAMAGED = (422, "corrupt-image")
SIZE = (422, "wrong-size")
PIXELS = (422, "wrong-pixels")
FINE = (200, "")

TARGET = "/compress?model=exact"
_IMAGE = bytes(range(72))


def npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """Return an npy file with this text as its header."""
    text = header.encode("latin-1") + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


def header(shape: str = "(1, 9, 8)", descr: str = "'|u1'", fortran: str = "False") -> str:
    """Return the usual header with some parts replaced."""
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}"


def npz(
    *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, flags: int | None = None
) -> bytes:
    """Return an archive of members; dates are fixed, so the bytes are always the same."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")  # zipfile warns of equal names
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, content)
    archived = bytearray(file.getvalue())
    if flags is not None:
        archived[6:8] = struct.pack("<H", flags)
        directory = archived.rindex(b"PK\x01\x02")
        archived[directory + 8 : directory + 10] = struct.pack("<H", flags)
    return bytes(archived)


def cases() -> Iterator[Case]:
    for name, content, answer in (*headers(), *shapes(), *types()):
        yield Case(f"{name}.npy", content, *answer, TARGET, "application/x-npy")
    for name, content, answer in archives():
        yield Case(f"{name}.npz", content, *answer, TARGET, "application/x-npz")


def headers() -> Iterator[tuple[str, bytes, tuple[int, str]]]:
    yield "valid", npy(header(), _IMAGE), FINE
    yield "version_2", npy(header(), _IMAGE, (2, 0)), FINE
    whole = npy(header(), _IMAGE)
    for name, content in {
        "magic_only": whole[:6],
        "version_cut": whole[:7],
        "length_cut": whole[:9],
        "header_cut": whole[:40],
        "data_cut": whole[:-1],
        "data_missing": npy(header()),
        "data_too_long": whole + b"x",
        "version_9": whole[:6] + b"\x09\x00" + whole[8:],
        "length_65535": whole[:8] + b"\xff\xff" + whole[10:],
        "length_4_gigabytes": whole[:6] + b"\x02\x00\xff\xff\xff\xff" + whole[10:],
    }.items():
        yield name, content, DAMAGED
    for name, text in {
        "header_empty": "",
        "header_word": "array",
        "header_list": "[]",
        "header_brace_open": header()[:-1],
        "header_bracket_open": "(" * 50,
        "header_quote_open": "{'descr': '|u1",
        "header_three_quotes_open": "'''",
        "header_indented": "  if True:\n pass",
        "header_tab_after_spaces": "if 1:\n        1\n\t1",
        "header_call": "__import__('os').system('id')",
        "header_lambda": "(lambda: 1)()",
        "header_signs_9000": "-" * 9000 + "1",
        "header_brackets_9000": "(" * 4500 + ")" * 4500,
        "header_attributes_2000": "a" + ".a" * 2000,
        "header_power": "9**9**9",
        "header_digits_9000": "9" * 9000,
        "header_of_20000_characters": header() + " " * 20_000,
        "header_nul": "\0" + header(),
        "header_backslash": "\\",
        "header_unicode_name": "'\\N{nothing}'",
        "header_bytes": "b'\\x80'",
        "header_without_shape": "{'descr': '|u1', 'fortran_order': False}",
        "header_key_more": header()[:-1] + ", 'more': 1}",
        "header_keys_of_numbers": "{1: 2, 3: 4, 5: 6}",
        "header_keys_of_several_types": "{1: 2, 'shape': (1,), None: 3}",
        "header_of_lists_as_keys": "{[]: 1}",
        "header_set": "{1, 2, 3}",
        "fortran_word": header(fortran="'yes'"),
    }.items():
        yield name, npy(text, _IMAGE), DAMAGED


def shapes() -> Iterator[tuple[str, bytes, tuple[int, str]]]:
    for name, shape in {
        "list": "[1, 9, 8]",
        "word": "'(1, 9, 8)'",
        "floats": "(1.0, 9.0, 8.0)",
        "none": "None",
        "negative": "(-1, -9, 8)",
        "negative_one_dimension": "(1, -9, -8)",
        "of_4000_digits": f"(1, 9, {'8' * 4000})",
        "of_2_to_the_70": f"(1, {2**70}, 8)",
    }.items():
        yield f"shape_{name}", npy(header(shape), _IMAGE), DAMAGED
    for name, shape, data in (
        ("flat", "(72,)", _IMAGE),
        ("scalar", "()", b"x"),
        ("turned", "(1, 8, 9)", _IMAGE),
        ("of_900_dimensions", "(" + "9999999999," * 900 + ")", b"x"),
        ("of_70_dimensions", "(" + "1," * 70 + ")", b"x"),
        ("empty_rows", "(3, 0, 8)", b""),
        ("colour", "(1, 3, 9, 8)", _IMAGE * 3),
    ):
        yield f"shape_{name}", npy(header(shape), data), SIZE
    yield "shape_of_no_image", npy(header("(0, 9, 8)")), (422, "empty-image")
    yield "shape_of_1001_images", npy(header("(1001, 9, 8)")), (422, "limit-exceeded")
    yield "shape_of_10_to_the_18", npy(header(f"({10**18}, 9, 8)")), DAMAGED
    yield "shape_true", npy(header("(True, 9, 8)"), _IMAGE), FINE


def types() -> Iterator[tuple[str, bytes, tuple[int, str]]]:
    for name, descr in {
        "float64": "'<f8'",
        "int8": "'|i1'",
        "object": "'|O'",
        "text": "'<U1000000'",
        "time": "'<M8[ns]'",
        "void": "'|V0'",
        "structure": "[('a', '|u1')]",
        "structure_empty": "[]",
        "structure_of_500": "[" + ",".join(f"('a{i}', '|u1')" for i in range(500)) + "]",
        "subtype": "('|u1', (9, 8))",
    }.items():
        yield f"type_{name}", npy(header(descr=descr), _IMAGE), PIXELS
    for name, descr in {
        "word": "'grey'",
        "number": "5",
        "none": "None",
        "tuple_empty": "()",
        "tuple_of_one": "('|u1',)",
        "structure_of_numbers": "[1, 2]",
        "structure_of_empty": "[()]",
        "structure_of_one": "[('a',)]",
        "structure_twice_one_name": "[('a', '|u1'), ('a', '|u1')]",
        "structure_name_number": "[(1, '|u1')]",
        "subtype_negative": "('|u1', (-1,))",
        "subtype_huge": f"('|u1', ({2**62},))",
        "commas": "'|u1,(,'",
        "brackets": "'(((((((|u1'",
        "nested_400": "[('a', " * 400 + "'|u1'" + ")]" * 400,
    }.items():
        yield f"type_{name}", npy(header(descr=descr), _IMAGE), DAMAGED


def archives() -> Iterator[tuple[str, bytes, tuple[int, str]]]:
    array = npy(header(), _IMAGE)
    whole = npz(("images.npy", array))
    yield "one", whole, FINE
    yield "empty", b"PK\x05\x06" + bytes(18), (415, "not-an-image")
    stored = npz(("images.npy", array), method=zipfile.ZIP_STORED)
    yield "stored", stored, FINE
    yield "another_name", npz(("a.npy", array)), FINE
    yield "traversal", npz(("../../etc/passwd", array)), FINE
    yield "two_names", npz(("a.npy", array), ("b.npy", array)), PIXELS
    yield "zeros_of_50_megabytes", npz(("images.npy", bytes(50_000_000))), DAMAGED
    yield (
        "array_of_50_megabytes",
        npz(("images.npy", npy(header("(999, 9, 8)"), bytes(50_000_000)))),
        DAMAGED,
    )
    for name, content in {
        "empty_behind_magic": b"PK\x03\x04" + bytes(40),
        "cut": whole[:-10],
        "directory_missing": whole[: whole.rindex(b"PK\x01\x02")],
        "checksum": stored.replace(_IMAGE, _IMAGE[::-1]),
        "no_array": npz(("images.npy", b"hello")),
        "array_of_an_array": npz(("images.npy", whole)),
        "folder": npz(("images.npy/", b"")),
        "encrypted": npz(("images.npy", array), flags=1),
        "bzip2": npz(("images.npy", array), method=zipfile.ZIP_BZIP2),
        "bzip2_of_50_megabytes": npz(("images.npy", bytes(50_000_000)), method=zipfile.ZIP_BZIP2),
        "lzma": npz(("images.npy", array), method=zipfile.ZIP_LZMA),
        "lzma_of_50_megabytes": npz(("images.npy", bytes(50_000_000)), method=zipfile.ZIP_LZMA),
        "method_99": whole.replace(b"\x14\0\0\0\x08\0", b"\x14\0\0\0\x63\0"),
    }.items():
        yield name, content, DAMAGED
