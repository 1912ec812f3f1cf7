"""Files of a version that are garbage, with checksums that fit; the service refuses the version.

The target of a case is the version that is copied, and the file that is replaced. A file with the
suffix `.program.json` is a JSON merge patch (RFC 7386) of the program in exact.safetensors.
"""

import base64
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from tests.hostile.case import Case
from tests.hostile.png_files import SIGNATURE, chunk, header

REFUSED = (503, "model-unavailable")
SAFETENSORS = {
    "exact": "whole/exact.safetensors",
    "pixels": "whole/pixels.safetensors",
    "classes": "whole/class_latents.safetensors",
    "directions": "whole/directions.safetensors",
    "latents": "whole/encoded_images.safetensors",
    "weights": "mnist/weights.safetensors",
}
JSON = {
    "golden": "whole/golden.json",
    "typicality": "whole/typicality.json",
    "snapshots": "whole/snapshots.json",
}
_NAN = struct.pack("<f", float("nan"))
_SIZES = {"F32": 4, "F64": 8, "F16": 2, "I8": 1, "U8": 1, "I16": 2, "I32": 4}


def cases() -> Iterator[Case]:
    """Yield each garbage for each file, and then what is wrong with one kind of file."""
    contents = [
        *(
            (f"{kind}_{name}", content)
            for kind in SAFETENSORS | JSON
            for name, content in garbage()
        ),
        *((f"{kind}_{name}", each) for kind in SAFETENSORS for name, each in damaged_safetensors()),
        *((f"{kind}_{name}", content) for kind in JSON for name, content in damaged_json()),
        *((f"classes_{name}", content) for name, content in classes()),
        *((f"directions_{name}", content) for name, content in directions()),
        *((f"latents_{name}", content) for name, content in latents()),
        *((f"pixels_{name}", content) for name, content in pixels()),
        *((f"golden_{name}", content) for name, content in golden()),
        *((f"typicality_{name}", content) for name, content in typicality()),
        *((f"snapshots_{name}", content) for name, content in snapshots()),
        *((f"exact_{name}.program.json", content) for name, content in programs()),
    ]
    for name, content in contents:
        yield Case(name, content, *REFUSED, (SAFETENSORS | JSON)[name.partition("_")[0]])


def safetensors(
    tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]], metadata: object = None
) -> bytes:
    """Return a file of tensors: name -> type, shape and content."""
    entries: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, (dtype, shape, content) in tensors.items():
        offsets = [len(data), len(data) + len(content)]
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        data += content
    return with_header(json.dumps(entries).encode(), data)


def with_header(text: bytes, data: bytes = b"") -> bytes:
    """Return the length of a header, the header, and the data."""
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype: str, *shape: int, fill: bytes = b"") -> tuple[str, tuple[int, ...], bytes]:
    """Return a tensor whose values are all 0, or all `fill`."""
    count = 1
    for size in shape:
        count *= size
    return dtype, shape, (fill or bytes(_SIZES[dtype])) * count


def garbage() -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    yield "zeros", bytes(100)
    yield "word", b"hello"
    yield "pickle", b"\x80\4\x8c\2os\x8c\6system\x93\x8c\2id\x85R."
    yield "html", b"<html><script>alert(1)</script></html>"
    yield "binary", bytes(range(256))
    yield "png", SIGNATURE + chunk(b"IHDR", header())
    yield "depth_20000", b"[" * 20_000


def damaged_safetensors() -> Iterator[tuple[str, bytes]]:
    entry = '{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'
    for name, text, data in (
        ("header_null", "null", b""),
        ("header_list", "[]", b""),
        ("header_empty_object", "{}", b""),
        ("header_cut", '{"steps": {', b""),
        ("header_deep", '{"steps": ' + "[" * 10_000, b""),
        ("header_two_names", f'{{"steps": {entry}, "steps": {entry}}}', _NAN),
        ("type_unknown", '{"a": {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}}', _NAN),
        ("type_bf16", '{"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}', b"\0\0"),
        ("type_number", '{"a": {"dtype": 7, "shape": [1], "data_offsets": [0, 4]}}', _NAN),
        ("shape_missing", '{"a": {"dtype": "F32", "data_offsets": [0, 4]}}', _NAN),
        ("shape_negative", '{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}', _NAN),
        (
            "shape_overflow",
            f'{{"a": {{"dtype": "F32", "shape": [{2**62}, 4], "data_offsets": [0, 0]}}}}',
            b"",
        ),
        (
            "shape_of_zeros",
            f'{{"a": {{"dtype": "F32", "shape": [0, {2**63}], "data_offsets": [0, 0]}}}}',
            b"",
        ),
        (
            "shape_of_1000_dimensions",
            f'{{"a": {{"dtype": "F32", "shape": {[1] * 1000}, "data_offsets": [0, 4]}}}}',
            _NAN,
        ),
        ("offsets_beyond", '{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', _NAN),
        ("offsets_back", '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}', _NAN),
        ("offsets_hole", '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}', _NAN * 2),
        ("data_behind", f'{{"a": {entry}}}', _NAN + b"more"),
        ("metadata_number", f'{{"__metadata__": 7, "a": {entry}}}', _NAN),
        ("other_tensor", f'{{"a": {entry}}}', _NAN),
        ("name_empty", f'{{"": {entry}}}', _NAN),
        ("name_of_50000_characters", f'{{"{"n" * 50_000}": {entry}}}', _NAN),
    ):
        yield name, with_header(text.encode(), data)
    yield "length_beyond", struct.pack("<Q", 2**40) + b"{}"
    yield "length_of_all_ones", b"\xff" * 8 + b"{}"
    yield "length_cut", b"\2\0\0"


def damaged_json() -> Iterator[tuple[str, bytes]]:
    yield "null", b"null"
    yield "list", b"[]"
    yield "string", b'"golden"'
    yield "number_of_20000_digits", b"9" * 20_000
    yield "object_cut", b'{"format": '
    yield "key_proto", b'{"__proto__": {}}'
    yield "utf16", "{}".encode("utf-16")
    yield "lone_surrogate", b'{"format": "\\ud800"}'
    yield "spaces_2000000", b" " * 2_000_000 + b"{}"


def classes() -> Iterator[tuple[str, bytes]]:
    """Yield class latents; the version has 2 classes and 3 latent dimensions."""
    one, half = struct.pack("<f", 1), struct.pack("<e", 1)
    good = {
        "weights": tensor("F32", 2, 1, fill=one),
        "means": tensor("F16", 2, 1, 3),
        "factors": tensor("F16", 2, 1, 6, fill=half),
    }
    for name, changes in {
        "weights_nan": {"weights": tensor("F32", 2, 1, fill=_NAN)},
        "weights_negative": {"weights": tensor("F32", 2, 1, fill=struct.pack("<f", -1))},
        "weights_of_2": {"weights": tensor("F32", 2, 1, fill=struct.pack("<f", 2))},
        "weights_0": {"weights": tensor("F32", 2, 1)},
        "weights_flat": {"weights": tensor("F32", 2, fill=one)},
        "means_infinite": {"means": tensor("F16", 2, 1, 3, fill=struct.pack("<e", float("inf")))},
        "factors_0": {"factors": tensor("F16", 2, 1, 6)},
        "factors_short": {"factors": tensor("F16", 2, 1, 5, fill=half)},
        "least_1": {"least": tensor("F32", fill=one)},
        "least_nan": {"least": tensor("F32", fill=_NAN)},
        "least_of_two": {"least": tensor("F32", 2)},
        "made_for_a_flow": {"in_z": tensor("U8", fill=b"\1")},
        "more": {"more": tensor("U8")},
        "latent_4": {
            "means": tensor("F16", 2, 1, 4),
            "factors": tensor("F16", 2, 1, 10, fill=half),
        },
        "3_classes": {
            "weights": tensor("F32", 3, 1, fill=one),
            "means": tensor("F16", 3, 1, 3),
            "factors": tensor("F16", 3, 1, 6, fill=half),
        },
    }.items():
        yield name, safetensors(good | changes)


def directions() -> Iterator[tuple[str, bytes]]:
    """Yield directions; the version has 3 of them and 3 latent dimensions."""
    good = {"steps": tensor("F32", 3, 3)}
    for name, changes in {
        "steps_nan": {"steps": tensor("F32", 3, 3, fill=_NAN)},
        "steps_infinite": {"steps": tensor("F32", 3, 3, fill=struct.pack("<f", float("inf")))},
        "steps_float64": {"steps": tensor("F64", 3, 3)},
        "steps_flat": {"steps": tensor("F32", 9)},
        "2_steps": {"steps": tensor("F32", 2, 3)},
        "latent_4": {"steps": tensor("F32", 3, 4)},
        "made_for_a_flow": {"in_z": tensor("U8", fill=b"\1")},
        "in_z_of_two": {"in_z": tensor("U8", 2)},
        "in_z_float": {"in_z": tensor("F32")},
        "more": {"more": tensor("F32")},
    }.items():
        yield name, safetensors(good | changes)


def latents() -> Iterator[tuple[str, bytes]]:
    """Yield latents of test images; the version has 2 classes and 3 latent dimensions."""
    one = struct.pack("<f", 1)
    good = {
        "levels": tensor("I8", 1, 3),
        "scale": tensor("F32", 3, fill=one),
        "indices": tensor("I32", 1),
    }
    for name, changes in {
        "levels_float": {"levels": tensor("F32", 1, 3)},
        "levels_none": {"levels": tensor("I8", 0, 3), "indices": tensor("I32", 0)},
        "levels_minus_128": {"levels": tensor("I8", 1, 3, fill=b"\x80")},
        "levels_without_dimensions": {"levels": tensor("I8", 1, 0), "scale": tensor("F32", 0)},
        "scale_nan": {"scale": tensor("F32", 3, fill=_NAN)},
        "scale_0": {"scale": tensor("F32", 3)},
        "scale_beyond": {"scale": tensor("F32", 3, fill=struct.pack("<f", 3e38))},
        "indices_negative": {"indices": tensor("I32", 1, fill=b"\xff" * 4)},
        "labels_negative": {"labels": tensor("I16", 1, fill=b"\xff\xff")},
        "labels_of_no_class": {"labels": tensor("I16", 1, fill=b"\2\0")},
        "more": {"more": tensor("U8")},
        "latent_4": {"levels": tensor("I8", 1, 4), "scale": tensor("F32", 4, fill=one)},
        "40000_images": {"levels": tensor("I8", 40_000, 3), "indices": tensor("I32", 40_000)},
    }.items():
        yield name, safetensors(good | changes)


def pixels() -> Iterator[tuple[str, bytes]]:
    yield "type", safetensors({"log_weights": tensor("F32", 1, 1)})
    yield "shape", safetensors({"log_weights": tensor("U8", 3, 256)})


def golden() -> Iterator[tuple[str, bytes]]:
    digest = "0" * 64
    for name, value in {
        "no_function": {},
        "encode_only": {"encode": digest},
        "hash_short": {"encode": digest[1:], "decode": digest},
        "hash_upper_case": {"encode": "A" * 64, "decode": digest},
        "hash_number": {"encode": 7, "decode": digest},
        "hash_null": {"encode": None},
        "function_unknown": {"encode": digest, "decode": digest, "dream": digest},
        "of_2000_functions": {f"f{i}": digest for i in range(2000)},
    }.items():
        yield name, json.dumps(value).encode()


def typicality() -> Iterator[tuple[str, bytes]]:
    rising = [float(i) for i in range(102)]
    good: dict[str, object] = {
        "measure": "typicality-1",
        "images": 10,
        "centre": [0.0] * 4,
        "scale": [1.0] * 4,
        "scores": rising,
        "likelihood_images": 10,
        "draws": 4,
        "elbo_nats": rising,
        "nll_nats": rising,
    }
    changed: dict[str, dict[str, object]] = {
        "measure_unknown": {"measure": "typicality-9"},
        "images_0": {"images": 0},
        "draws_word": {"draws": "many"},
        "centre_short": {"centre": [0.0] * 3},
        "centre_nan": {"centre": ["NaN"] * 4},
        "centre_1e300": {"centre": [1e300] * 4},
        "scale_0": {"scale": [0.0] * 4},
        "scale_negative": {"scale": [-1.0] * 4},
        "scale_infinite": {"scale": ["Infinity"] * 4},
        "scores_falling": {"scores": rising[::-1]},
        "scores_of_101": {"scores": rising[1:]},
        "scores_of_10000": {"scores": [0.0] * 10_000},
        "nll_1e999": {"nll_nats": [*rising[:-1], "1e999"]},
        "key_more": {"more": 1},
    }
    for name, changes in changed.items():
        yield name, json.dumps(good | changes).encode()


def snapshots() -> Iterator[tuple[str, bytes]]:
    """Yield snapshots of two epochs, one sample and one reconstruction of 8x9 pixels."""
    good: dict[str, object] = {
        "epochs": [0.0, 1.0],
        "test_images": 1,
        "reconstruction_nats": [2.0, 1.0],
        "kl_nats": [0.0, 1.0],
        "dimensions": [0, 1, 2],
        "dimension_kl_nats": [[0.0, 0.0, 0.0], [1.0, 0.5, 0.1]],
        "samples": 1,
        "reconstructions": 1,
        "image": {"channels": 1, "height": 9, "width": 8},
        "images": sheet(16, 18),
        "position_step": 0.1,
        "positions": base64.b64encode(bytes(8)).decode(),
    }
    changed: dict[str, dict[str, object]] = {
        "image_of_10000000000_pixels": {"images": sheet(100_000, 100_000, b"")},
        "image_of_2_to_the_62_pixels": {"images": sheet(2**31 - 1, 2**31 - 1, b"")},
        "image_of_no_pixel": {"images": sheet(0, 18, b"")},
        "image_too_wide": {"images": sheet(17, 18)},
        "image_cut": {"images": sheet(16, 18)[:40]},
        "image_of_a_text_bomb": {
            "images": sheet(16, 18, b"", b"zTXt", b"a\0\0" + zlib.compress(bytes(20_000_000)))
        },
        "image_with_a_broken_profile": {"images": sheet(16, 18, b"", b"iCCP", b"")},
        "image_gif": {"images": base64.b64encode(b"GIF89a" + bytes(20)).decode()},
        "image_not_base64": {"images": "%%%%"},
        "image_of_900000_characters": {"images": "A" * 900_000},
        "epochs_falling": {"epochs": [1.0, 0.0]},
        "epochs_nan": {"epochs": [0.0, "NaN"]},
        "epochs_1e300": {"epochs": [0.0, 1e300]},
        "epochs_of_10000": {"epochs": [float(i) for i in range(10_000)]},
        "test_images_10_to_the_9": {"test_images": 10**9},
        "samples_10_to_the_9": {"samples": 10**9},
        "step_1e300": {"position_step": 1e300},
        "step_negative": {"position_step": -1},
        "positions_short": {"positions": "AAAA"},
        "dimension_3": {"dimensions": [0, 1, 3]},
        "dimension_of_400_digits": {"dimensions": [0, 1, 10**400]},
        "dimension_twice": {"dimensions": [0, 0, 1]},
        "label_of_no_class": {"labels": [2]},
        "label_negative": {"labels": [-1]},
        "labels_of_two": {"labels": [0, 1]},
        "channels_3": {"image": {"channels": 3, "height": 9, "width": 8}},
        "height_10_to_the_9": {"image": {"channels": 1, "height": 10**9, "width": 8}},
        "format_unknown": {"format": "snapshots-9"},
        "key_more": {"more": 1},
    }
    for name, changes in changed.items():
        yield name, json.dumps(good | changes).encode()


def sheet(
    width: int, height: int, pixels: bytes | None = None, kind: bytes = b"", data: bytes = b""
) -> str:
    """Return the base64 of a black grey PNG, with other pixels, or a further chunk before them."""
    rows = zlib.compress((b"\0" + bytes(width)) * height) if pixels is None else pixels
    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [SIGNATURE, chunk(b"IHDR", size)]
    if kind:
        parts.append(chunk(kind, data))
    parts += [chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return base64.b64encode(b"".join(parts)).decode()


def programs() -> Iterator[tuple[str, bytes]]:
    for name, patch in program_patches().items():
        yield name, json.dumps(patch).encode()


def program_patches() -> dict[str, object]:
    return {
        "program_list": [],
        "program_empty": {"encode": None, "decode": None, "flow": None},
        "decode_missing": {"decode": None},
        "decode_empty": {"decode": []},
        "decode_word": {"decode": "dense"},
        "decode_of_an_unknown_kind": {"decode": [{"kind": "sorcery"}]},
        "decode_of_no_kind": {"decode": [{}]},
        "decode_of_numbers": {"decode": [1, 2, 3]},
        "decode_of_a_list_as_kind": {"decode": [{"kind": []}]},
        "decode_of_10000_operations": {"decode": [{"kind": "relu"}] * 10_000},
        "flow_of_words": {"flow": "abc"},
        "flow_of_nothing": {"flow": [{}]},
        "flow_keeps_7": {"flow": [{"kept": 7, "net": []}]},
        "flow_keeps_a_list": {"flow": [{"kept": [], "net": []}]},
        "flow_of_10000_couplings": {"flow": [{"kept": 0, "net": []}] * 10_000},
    }
