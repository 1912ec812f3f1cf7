"""The search for certified scales has the result of trying one scale after the other."""

import numpy as np
import pytest

from model_store.arithmetic.certificate import SCALE_STEP, margin, nearest_certified_scale


@pytest.mark.parametrize(("scale", "highest"), [(3.7, 127), (21.3, 511), (90.0, 1023)])
def test_the_nearest_certified_scale_is_the_first_of_those_that_are_tried(
    scale: float, highest: int
):
    tried = (np.float32(scale * (1 - SCALE_STEP * i)) for i in range(2000))
    first = next(s for s in tried if margin(float(s), 7, highest) > 1)
    assert nearest_certified_scale(scale, 7, highest) == first


def test_a_scale_that_cannot_be_certified_is_refused():
    with pytest.raises(ValueError, match="no certified scale near 400"):
        nearest_certified_scale(400.0, 7, 65535)
