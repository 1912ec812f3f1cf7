"""A version is published again with other latents of its classes, and with fewer figures."""

from pathlib import Path

import numpy as np
import pytest

from model_store.class_latents import ClassLatents, to_arrays
from model_store.errors import PublishError
from model_store.spec import Description, ModelRef
from model_store.store import Store
from tests.unit.models import a_card, tiny_classes, tiny_description, tiny_weights

ONE, TWO = (ModelRef(name="tiny", version=version) for version in (1, 2))
FIGURES = {"samples": b"samples", "classes": b"classes", "traversal": b"traversal"}
DESCRIPTION: Description = tiny_description().model_copy(update={"classes": ("a", "b")})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.publish(
        "tiny", DESCRIPTION, tiny_weights(), card=a_card, figures=FIGURES,
        class_latents=tiny_classes(),
    )  # fmt: skip
    return store


def test_latents_of_classes_and_figures_take_the_places_of_those_before(store: Store):
    classes = ClassLatents(tiny_classes().mixtures[::-1], 0.5)
    store.supplement(
        ONE, DESCRIPTION, card=a_card, class_latents=classes, figures={"classes": b"new"}
    )
    before, after = (store.load(ref).class_latents for ref in (ONE, TWO))
    assert before.min_class_probability == 0
    for name, array in to_arrays(classes).items():
        assert np.array_equal(to_arrays(after)[name], array)
    assert store.figure(TWO, "classes") == b"new"
    assert store.figure(TWO, "samples") == b"samples"
    assert store.figure(ONE, "classes") == b"classes"


def test_a_figure_can_be_left_out(store: Store):
    two = store.supplement(ONE, DESCRIPTION, card=a_card, left_out=["traversal"])
    assert two.figures == ("classes", "samples")
    assert store.verify(TWO).figures == two.figures


def test_a_figure_that_a_version_lacks_cannot_be_left_out(store: Store):
    with pytest.raises(PublishError, match=r"leave loss out of tiny@1: .* classes, samples, trav"):
        store.supplement(ONE, DESCRIPTION, card=a_card, left_out=["loss"])
    assert store.versions("tiny") == (1,)
