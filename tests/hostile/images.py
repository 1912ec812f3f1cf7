"""Images that are damaged, enormous, or no images."""

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.hostile.case import Case
from tests.hostile.png_files import END, SIGNATURE, chunk, header, png, rows, usual

CORRUPT = (422, "corrupt-image")
FOREIGN = (415, "not-an-image")
LARGE = (413, "too-many-pixels")
FINE = (200, "")
BLANK = (422, "blank-image")
COMPLEX = (413, "too-complex")


def cases() -> Iterator[Case]:
    for name, content, answer in (*png_headers(), *png_data(), *png_chunks()):
        yield Case(f"{name}.png", content, *answer, content_type="image/png")
    for name, content, answer in jpegs():
        yield Case(f"{name}.jpg", content, *answer, content_type="image/jpeg")
    for name, content, answer in foreign():
        yield Case(name, content, *answer, content_type="image/png")


Row = tuple[str, bytes, tuple[int, str]]


def png_headers() -> Iterator[Row]:
    yield "empty", b"", (422, "empty-image")
    yield "signature", SIGNATURE, CORRUPT
    yield "signature_cut", SIGNATURE[:7], FOREIGN
    yield "signature_with_unix_line_ends", b"\x89PNG\n\x1a\n" + usual()[8:], FOREIGN
    for name, fields in {
        "width_0": {"width": 0},
        "height_0": {"height": 0},
        "depth_0": {"depth": 0},
        "depth_3": {"depth": 3},
        "depth_255": {"depth": 255},
        "colour_1": {"colour": 1},
        "colour_7": {"colour": 7},
        "colour_2_of_1_bit": {"colour": 2, "depth": 1},
        "colour_3_of_16_bits": {"colour": 3, "depth": 16},
    }.items():
        yield f"header_{name}", usual(ihdr=header(**fields)), CORRUPT
    for name, (width, height) in {
        "square_60000": (60_000, 60_000),
        "row": (2**31 - 1, 1),
        "column": (1, 2**31 - 1),
        "limits": (2**31 - 1, 2**31 - 1),
        "sign": (2**31, 8),
    }.items():
        yield f"header_huge_{name}", usual(ihdr=header(width, height)), LARGE
    yield "header_short", usual(ihdr=header()[:12]), CORRUPT
    yield "header_empty", usual(ihdr=b""), CORRUPT
    yield (
        "header_wrong_checksum",
        png(chunk(b"IHDR", header(), crc=0), (b"IDAT", zlib.compress(rows())), END),
        CORRUPT,
    )
    yield "header_missing", png((b"IDAT", zlib.compress(rows())), END), CORRUPT
    yield (
        "header_after_data",
        png((b"IDAT", zlib.compress(rows())), (b"IHDR", header()), END),
        CORRUPT,
    )
    yield "header_length_4_gib", png(chunk(b"IHDR", header(), length=2**32 - 1)), CORRUPT
    yield "chunk_kind_of_zeros", png(chunk(bytes(4), b"")), CORRUPT
    yield "text_instead_of_chunks", SIGNATURE + b"<html>" * 20, CORRUPT


def png_data() -> Iterator[Row]:
    full = zlib.compress(rows())
    yield "data_missing", png((b"IHDR", header()), END), CORRUPT
    yield "data_empty", usual(data=b""), CORRUPT
    yield "data_not_zlib", usual(data=b"not zlib at all"), CORRUPT
    yield "data_cut", usual(data=full[: len(full) // 2]), CORRUPT
    yield "data_wrong_adler", usual(data=full[:-4] + bytes(4)), CORRUPT
    yield "data_wrong_checksum", png((b"IHDR", header()), chunk(b"IDAT", full, crc=1), END), FINE
    yield "data_filter_5", usual(data=zlib.compress(rows(filter_type=5))), CORRUPT
    yield "data_filter_255", usual(data=zlib.compress(rows(filter_type=255))), CORRUPT
    yield "data_4_of_8_rows", usual(data=zlib.compress(rows(height=4))), CORRUPT
    yield "data_7_of_8_rows", usual(data=zlib.compress(rows(height=7))), CORRUPT
    yield "data_half_a_row_short", usual(data=zlib.compress(rows()[:-4])), CORRUPT
    yield "data_no_rows", usual(data=zlib.compress(b"")), CORRUPT
    yield (
        "data_interlaced_cut",
        usual(ihdr=header(interlace=1), data=zlib.compress(rows(height=2))),
        CORRUPT,
    )
    yield (
        "data_100_of_1000_rows",
        usual(ihdr=header(1000, 1000), data=zlib.compress(rows(1000, 100))),
        CORRUPT,
    )
    yield "file_cut_in_data", usual()[:50], CORRUPT
    yield "file_cut_before_data_length", usual()[:34], CORRUPT
    yield "file_cut_in_header", usual()[:20], CORRUPT
    yield (
        "data_length_4_gib",
        png((b"IHDR", header()), chunk(b"IDAT", full, length=2**32 - 1)),
        FINE,
    )
    yield (
        "data_length_negative",
        png((b"IHDR", header()), chunk(b"IDAT", full, length=2**31)),
        FINE,
    )
    yield (
        "data_of_a_bomb",
        usual(ihdr=header(1000, 1000), data=zlib.compress(bytes(1_001_000) + bytes(30_000_000))),
        BLANK,
    )
    yield "palette_missing", usual(ihdr=header(colour=3)), BLANK
    yield "blank", usual(data=zlib.compress(bytes(8 * 9))), BLANK


def png_chunks() -> Iterator[Row]:
    """Chunks that a decoder has to skip or refuse; the image around them is whole."""
    bomb = zlib.compress(b"a" * 20_000_000)
    yield "text_bomb_ztxt", usual((b"zTXt", b"Comment\0\0" + bomb)), CORRUPT
    yield "text_bomb_itxt", usual((b"iTXt", b"Comment\0\1\0\0\0" + bomb)), CORRUPT
    yield "text_key_missing", usual((b"tEXt", b"")), FINE
    yield "text_parameters_of_nul", usual((b"tEXt", b"parameters\0" + bytes(1000))), FINE
    yield "text_5000_times", usual(*[(b"tEXt", b"k\0v")] * 5000), FINE
    yield "unknown_ancillary", usual((b"abCd", bytes(100))), FINE
    yield "unknown_ancillary_wrong_checksum", usual(chunk(b"abCd", b"x", crc=0)), CORRUPT
    yield "exif_of_garbage", usual((b"eXIf", b"\xff" * 64)), FINE
    yield (
        "exif_loop",
        usual((b"eXIf", b"II*\0\x08\0\0\0\x01\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\0\0\0\0")),
        FINE,
    )
    yield (
        "exif_orientation_99",
        usual((b"eXIf", b"II*\0\x08\0\0\0\x01\0\x12\1\3\0\1\0\0\0\x63\0\0\0\0\0\0\0")),
        FINE,
    )
    yield "gamma_0", usual((b"gAMA", bytes(4))), FINE
    yield "resolution_0", usual((b"pHYs", bytes(9))), FINE
    yield "transparency_short", usual((b"tRNS", b"\0\0")), FINE
    yield "palette_of_grey", usual((b"PLTE", bytes(3))), FINE
    yield "animation_of_0_frames", usual((b"acTL", bytes(8))), FINE
    yield "animation_of_4_billion_frames", usual((b"acTL", struct.pack(">II", 2**32 - 1, 0))), FINE
    yield "after_the_end", usual() + usual(), FINE
    yield "zeros_after_the_end", usual() + bytes(100_000), FINE


def jpeg(size: tuple[int, int] = (8, 8), mode: str = "L", **options: object) -> bytes:
    """Return a JPEG of a grey ramp."""
    ramp = Image.linear_gradient("L").resize(size).convert(mode)
    file = io.BytesIO()
    ramp.save(file, "JPEG", **options)
    return file.getvalue()


def patched(content: bytes, marker: int, offset: int, value: bytes) -> bytes:
    """Return a JPEG with other bytes behind a marker."""
    at = content.index(bytes([0xFF, marker])) + offset
    return content[:at] + value + content[at + len(value) :]


def without(content: bytes, marker: int) -> bytes:
    """Return a JPEG without all segments of a marker."""
    while (at := content.find(bytes([0xFF, marker]))) >= 0:
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        content = content[:at] + content[at + 2 + length :]
    return content


def scans(count: int, size: int = 1024) -> bytes:
    """Return a progressive JPEG of one grey level, with `count` scans that refine nothing."""
    blocks = (size // 8) ** 2
    head = b"\xff\xd8\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([1] * 64)
    head += b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, size, size, 1) + b"\1\x11\0"
    head += b"\xff\xc4" + struct.pack(">HB", 20, 0x00) + bytes([1, *[0] * 15, 0])
    head += b"\xff\xc4" + struct.pack(">HB", 20, 0x10) + bytes([1, *[0] * 15, 0xE0])
    first = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\1\0\0\0\0" + bytes((blocks + 7) // 8)
    run = int("0" + format(blocks - (1 << 14), "014b") + "1", 2).to_bytes(2, "big")
    scan = (
        b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\1\0\1\x3f\0" + run.replace(b"\xff", b"\xff\0")
    )
    return head + first + scan * count + b"\xff\xd9"


def jpegs() -> Iterator[Row]:
    usual_jpeg = jpeg()
    yield "soi", b"\xff\xd8\xff", CORRUPT
    yield "soi_eoi", b"\xff\xd8\xff\xd9", CORRUPT
    yield "soi_10000_times", b"\xff\xd8" * 10_000 + b"\xff\xd9", CORRUPT
    yield "fill_bytes_100000", b"\xff\xd8" + b"\xff" * 100_000, CORRUPT
    for part in (4, 20, 100, len(usual_jpeg) // 2):
        yield f"cut_after_{part}", usual_jpeg[:part], CORRUPT
    yield "cut_in_scan", jpeg((64, 64))[:-40], CORRUPT
    yield "frame_missing", without(usual_jpeg, 0xC0), CORRUPT
    yield "quantisation_missing", without(usual_jpeg, 0xDB), CORRUPT
    yield "huffman_missing", without(usual_jpeg, 0xC4), FINE
    yield "scan_missing", usual_jpeg[: usual_jpeg.index(b"\xff\xda")] + b"\xff\xd9", CORRUPT
    yield "height_0", patched(usual_jpeg, 0xC0, 5, b"\0\0"), CORRUPT
    yield "width_0", patched(usual_jpeg, 0xC0, 7, b"\0\0"), CORRUPT
    yield "huge", patched(usual_jpeg, 0xC0, 5, b"\xff\xff\xff\xff"), LARGE
    yield "components_0", patched(usual_jpeg, 0xC0, 9, b"\0"), CORRUPT
    yield "components_5", patched(usual_jpeg, 0xC0, 9, b"\5"), CORRUPT
    yield "components_255", patched(usual_jpeg, 0xC0, 9, b"\xff"), CORRUPT
    yield "sampling_0", patched(usual_jpeg, 0xC0, 11, b"\0"), CORRUPT
    yield "sampling_15", patched(usual_jpeg, 0xC0, 11, b"\xff"), CORRUPT
    yield "table_number_9", patched(usual_jpeg, 0xC0, 12, b"\x09"), CORRUPT
    yield "precision_2", patched(usual_jpeg, 0xC0, 4, b"\2"), CORRUPT
    yield "precision_12", patched(usual_jpeg, 0xC0, 4, b"\x0c"), CORRUPT
    yield "lossless_frame", patched(usual_jpeg, 0xC0, 1, b"\xc3"), CORRUPT
    yield "hierarchical_frame", patched(usual_jpeg, 0xC0, 1, b"\xc5"), CORRUPT
    yield "segment_length_0", patched(usual_jpeg, 0xDB, 2, b"\0\0"), CORRUPT
    yield "segment_length_1", patched(usual_jpeg, 0xDB, 2, b"\0\1"), CORRUPT
    yield "segment_length_65535", patched(usual_jpeg, 0xDB, 2, b"\xff\xff"), CORRUPT
    yield "huffman_all_ones", patched(usual_jpeg, 0xC4, 5, b"\xff" * 16), CORRUPT
    yield "scan_of_87000_scans", scans(87_000), COMPLEX
    yield "scan_of_5000_scans", scans(5_000), COMPLEX
    yield (
        "exif_of_garbage",
        usual_jpeg[:2] + b"\xff\xe1\0\x20Exif\0\0" + b"\xff" * 24 + usual_jpeg[2:],
        FINE,
    )
    yield (
        "icc_of_garbage",
        usual_jpeg[:2] + b"\xff\xe2\0\x20ICC_PROFILE\0\xff\xff" + b"\xff" * 16 + usual_jpeg[2:],
        FINE,
    )
    yield (
        "comment_of_html",
        usual_jpeg[:2] + b"\xff\xfe\0\x1b<script>alert(1)</script>" + usual_jpeg[2:],
        FINE,
    )
    yield "html_after_the_end", usual_jpeg + b"<script>alert(1)</script>", FINE
    yield "cmyk", jpeg((16, 16), "CMYK"), FINE
    yield "png_inside", b"\xff\xd8\xff" + usual(), CORRUPT


def foreign() -> Iterator[Row]:
    """Files of other kinds, which are refused by their first bytes."""
    files = {
        "text.txt": b"hello",
        "zeros.bin": bytes(1000),
        "page.html": b"<!doctype html><script>alert(1)</script>",
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "entities.xml": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
        "document.pdf": b"%PDF-1.7\n1 0 obj\n<< /OpenAction << /S /JavaScript >> >>\nendobj\n",
        "program.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(%pipe%id) (r) file\n",
        "archive.zip": b"PK\5\6" + bytes(18),
        "archive.gz": b"\x1f\x8b\x08" + bytes(20),
        "program.elf": b"\x7fELF\2\1\1" + bytes(57),
        "object.pkl": b"\x80\4\x8c\2os\x8c\6system\x93\x8c\2id\x85R.",
        "picture.bmp": b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0)
        + bytes(4),
        "picture.tif": b"II*\0\x08\0\0\0\xff\xff" + bytes(50),
        "picture.ppm": b"P6 8 8 255 " + bytes(192),
        "picture.ico": bytes([0, 0, 1, 0, 1, 0, 8, 8, 0, 0, 1, 0, 32, 0]) + bytes(20),
        "picture.psd": b"8BPS\0\1" + bytes(30),
        "picture.dds": b"DDS |\0\0\0" + bytes(120),
        "picture.xbm": b"#define a_width 8\n#define a_height 8\nstatic char a_bits[] = { 0 };",
        "picture.j2k": b"\xff\x4f\xff\x51" + bytes(40),
        "picture.wmf": b"\xd7\xcd\xc6\x9a" + bytes(40),
        "film.flc": struct.pack("<IHHHHH", 128, 0xAF12, 1, 8, 8, 8) + bytes(112),
        "sound.wav": b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + bytes(28),
        "weights.safetensors": struct.pack("<Q", 2) + b"{}",
        "byte_order_mark.png": b"\xef\xbb\xbf" + usual(),
        "space_before.png": b" " + usual(),
        "base64.png": b"iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAA",
        "data_address.png": b"data:image/png;base64,iVBORw0KGgo=",
    }
    for name, content in files.items():
        yield name, content, FOREIGN
    yield "cut.gif", b"GIF89a\x08\0\x08\0\x80\0\0", CORRUPT
    yield (
        "huge.gif",
        b"GIF89a\xff\xff\xff\xff\x80\0\0"
        + bytes(6)
        + b","
        + bytes(4)
        + b"\xff\xff\xff\xff\0\x02\x02\x44\x01\0;",
        LARGE,
    )
    yield "cut.webp", b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f", CORRUPT
    yield "cut.avif", struct.pack(">I", 28) + b"ftypavif\0\0\0\0avifmif1miaf", CORRUPT
    yield "cut.heic", struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic", CORRUPT
