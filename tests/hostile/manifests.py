"""Manifests that are damaged or lie about their version; the service refuses to load them.

A file is a JSON merge patch (RFC 7386) of the manifest of a valid version, or, if its suffix is .raw,
the whole manifest.
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.hostile.case import Case

REFUSED = (503, "model-unavailable")
WEIGHTS = "weights.safetensors"


def cases() -> Iterator[Case]:
    for name, patch in patches().items():
        yield Case(f"{name}.json", json.dumps(patch).encode(), *REFUSED)
    for name, content in {
        "empty": b"",
        "zeros": bytes(100),
        "null": b"null",
        "array": b"[]",
        "string": b'"manifest"',
        "object_empty": b"{}",
        "cut": b'{"format_version": 1, "name":',
        "depth_100000": b"[" * 100_000,
        "utf16": "{}".encode("utf-16"),
        "pickle": b"\x80\4\x8c\2os\x8c\6system\x93\x8c\2id\x85R.",
        "html": b"<html>",
        "number_of_100000_digits": b'{"format_version": 1' + b"0" * 100_000 + b"}",
    }.items():
        yield Case(f"{name}.raw", content, *REFUSED)


def patches() -> dict[str, Any]:
    record = {"sha256": "0" * 64, "size_bytes": 5}
    return {
        "format_version_0": {"format_version": 0},
        "format_version_2": {"format_version": 2},
        "format_version_missing_files": {"files": None},
        "name_of_another_model": {"name": "other"},
        "name_traversal": {"name": "../../etc"},
        "name_missing": {"name": None},
        "version_of_another": {"version": 2},
        "version_0": {"version": 0},
        "version_word": {"version": "latest"},
        "key_unknown": {"surprise": 1},
        "key_proto": {"__proto__": {}},
        "created_at_word": {"created_at": "yesterday"},
        "created_at_year_100000": {"created_at": "100000-01-01T00:00:00Z"},
        "files_empty": {"files": {WEIGHTS: None}},
        "files_traversal": {"files": {"../../../etc/passwd": record}},
        "files_absolute": {"files": {"/etc/passwd": record}},
        "files_name_with_slash": {"files": {"a/b": record}},
        "files_name_with_dot_first": {"files": {".hidden": record}},
        "weights_size_0": {"files": {WEIGHTS: {"size_bytes": 0}}},
        "weights_size_negative": {"files": {WEIGHTS: {"size_bytes": -1}}},
        "weights_size_2_to_the_70": {"files": {WEIGHTS: {"size_bytes": 2**70}}},
        "files_of_200_gigabytes": {
            "files": {f"a{i}.png": {"sha256": "0" * 64, "size_bytes": 2**31} for i in range(100)}
        },
        "files_of_2_megabytes_of_names": {
            "files": {f"{i:04}{'a' * 2500}.png": record for i in range(900)}
        },
        "golden_of_1_gigabyte": {"files": {"golden.json": record | {"size_bytes": 2**30}}},
        "snapshots_of_1_gigabyte": {"files": {"snapshots.json": record | {"size_bytes": 2**30}}},
        "weights_checksum_of_zeros": {"files": {WEIGHTS: {"sha256": "0" * 64}}},
        "weights_checksum_short": {"files": {WEIGHTS: {"sha256": "0" * 63}}},
        "weights_checksum_missing": {"files": {WEIGHTS: {"sha256": None}}},
        "arithmetic_unknown": {"arithmetic": "exact-9"},
        "arithmetic_exact_without_files": {"arithmetic": "exact-1"},
        "spec_missing": {"spec": None},
        "spec_list": {"spec": []},
        "network_unknown": {"spec": {"network": {"kind": "transformer"}}},
        "network_kind_missing": {"spec": {"network": {"kind": None}}},
        "hidden_empty": {"spec": {"network": {"hidden": []}}},
        "hidden_0": {"spec": {"network": {"hidden": [0]}}},
        "hidden_negative": {"spec": {"network": {"hidden": [-8]}}},
        "hidden_other_width": {"spec": {"network": {"hidden": [9]}}},
        "hidden_2_to_the_40": {"spec": {"network": {"hidden": [2**40]}}},
        "hidden_20000_layers": {"spec": {"network": {"hidden": [8] * 20_000}}},
        "latent_0": {"spec": {"latent": 0}},
        "latent_other": {"spec": {"latent": 4}},
        "latent_10_to_the_18": {"spec": {"latent": 10**18}},
        "latent_10_to_the_30": {"spec": {"latent": 10**30}},
        "latent_true": {"spec": {"latent": "three"}},
        "image_channels_2": {"spec": {"image": {"channels": 2}}},
        "image_height_0": {"spec": {"image": {"height": 0}}},
        "image_height_10_to_the_9": {"spec": {"image": {"height": 10**9}}},
        "image_other_size": {"spec": {"image": {"height": 27}}},
        "likelihood_unknown": {"spec": {"likelihood": "cauchy"}},
        "prior_couplings_10_to_the_9": {"spec": {"prior": {"couplings": 10**9, "hidden": 8}}},
        "prior_without_weights": {"spec": {"prior": {"couplings": 2, "hidden": 4}}},
        "logvar_bound_negative": {"spec": {"logvar_bound": -1}},
        "logvar_bound_infinite": {"spec": {"logvar_bound": "Infinity"}},
        "latents_short": {"latents": {"kl_nats": [1.0]}},
        "latents_long": {"latents": {"kl_nats": [1.0] * 4}},
        "latents_nan": {"latents": {"mean": ["NaN", 0, 0]}},
        "latents_words": {"latents": {"std": ["a", "b", "c"]}},
        "classes_numbers": {"classes": [0, 1]},
        "metrics_word": {"metrics": {"test_kl": {"value": "low", "unit": "nats", "protocol": "x"}}},
        "metrics_list": {"metrics": []},
        "training_missing": {"training": None},
        "training_epochs_negative": {"training": {"epochs": -1}},
        "upload_unknown": {"spec": {"upload": "anything"}},
    }
