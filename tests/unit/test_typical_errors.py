"""Reconstruction errors of uploads beside those of test images."""

import numpy as np
import pytest

from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store
from model_store.typical_errors import reconstruction_errors, typical_errors


def test_the_error_is_the_squared_distance_over_the_length_of_the_image() -> None:
    x = np.zeros((2, 1, 4, 4), np.uint8)
    x[0, 0, 1, :2] = (153, 204)  # 0.6 and 0.8: the length is 1
    reconstruction = x.copy()
    reconstruction[0, 0, 3, 3] = 51  # 0.2
    assert reconstruction_errors(x, reconstruction) == pytest.approx([0.04, 0])


@pytest.mark.parametrize("name", Store(SHIPPED).names())
def test_every_shipped_version_has_a_typicality_table_or_the_errors_of_its_test_images(
    name: str,
) -> None:
    stored = Store(SHIPPED).load(ModelRef.parse(name))
    if stored.typicality is not None:
        return
    typical = typical_errors(stored.manifest.weights_sha256)
    assert typical is not None
    assert 0 < typical.median < typical.limit < typical.largest


def test_a_version_that_was_not_measured_has_none() -> None:
    assert typical_errors("0" * 64) is None
