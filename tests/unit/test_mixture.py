"""The mixtures of a version's classes: what they draw, and what of them is refused."""

import statistics
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from model_store.class_latents import (
    NO_CLASSES,
    ClassLatents,
    GaussianMixture,
    as_stored,
    from_arrays,
    to_arrays,
)
from model_store.errors import CorruptVersionError, ShapeError
from model_store.spec import ModelRef
from model_store.store import Store
from tests.unit.models import a_card, tiny_classes, tiny_description, tiny_weights

WHOLE: dict[str, object] = {
    "weights": [0.25, 0.75],
    "means": [[1.0, 2.0], [3.0, 4.0]],
    "factors": [[[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [5.0, 3.0]]],
}
REF = ModelRef.parse("tiny@1")


def mixture(**change: object) -> GaussianMixture:
    parts = WHOLE | change
    return GaussianMixture(**{name: np.array(part) for name, part in parts.items()})


def publish(root: Path, classes: ClassLatents) -> None:
    description = tiny_description().model_copy(update={"classes": ("no", "yes")})
    Store(root).publish("tiny", description, tiny_weights(), card=a_card, class_latents=classes)


def test_the_number_chooses_the_component_and_zero_gives_its_mean():
    zero = np.zeros(2)
    assert mixture().sample(0.0, zero).tolist() == [1.0, 2.0]
    assert mixture().sample(0.2499, zero).tolist() == [1.0, 2.0]
    assert mixture().sample(0.25, zero).tolist() == [3.0, 4.0]
    assert mixture().sample(np.nextafter(1.0, 0.0), zero).tolist() == [3.0, 4.0]
    assert mixture().sample(0.5, np.array([1.0, 10.0])).tolist() == [5.0, 39.0]


def test_samples_have_the_mean_and_the_covariance_of_the_mixture():
    noise = np.random.default_rng(0)
    draws = [mixture().sample(noise.random(), noise.standard_normal(2)) for _ in range(20_000)]
    mean = np.array([2.5, 3.5])
    assert np.mean(draws, axis=0) == pytest.approx(mean, abs=0.1)
    within = 0.25 * np.eye(2) + 0.75 * np.array([[4.0, 10.0], [10.0, 34.0]])
    between = 0.25 * 0.75 * 4 * np.ones((2, 2))
    assert np.cov(np.array(draws).T) == pytest.approx(within + between, rel=0.05)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [0.5, 0.4]},
        {"weights": [1.0]},
        {"weights": [1.25, -0.25]},
        {"weights": []},
        {"means": [[1.0], [3.0]]},
        {"means": [[1.0, np.nan], [3.0, 4.0]]},
        {"factors": [[[1.0, 0.0], [0.0, 1.0]]]},
        {"factors": [[[1.0, 0.0], [0.0, 0.0]], [[2.0, 0.0], [5.0, 3.0]]]},
        {"factors": [[[1.0, 0.5], [0.0, 1.0]], [[2.0, 0.0], [5.0, 3.0]]]},
    ],
)
def test_a_mixture_whose_parts_do_not_fit_is_refused(change: dict[str, object]):
    mixture()
    with pytest.raises(ValueError, match=r"weights|factors|component|NaN"):
        mixture(**change)


def test_published_mixtures_come_back_as_they_were_to_a_thousandth(tmp_path: Path):
    given = tiny_classes()
    publish(tmp_path, given)
    found = Store(tmp_path).load(REF).class_latents
    assert [len(m.weights) for m in found] == [len(m.weights) for m in given] == [1, 2]
    for ours, theirs in zip(given, found, strict=True):
        for name in ("weights", "means", "factors"):
            assert getattr(theirs, name) == pytest.approx(getattr(ours, name), rel=1e-3)
    manifest = Store(tmp_path).verify(REF)
    assert manifest.labelled
    assert "class_latents.safetensors" in manifest.files


def test_what_was_rounded_for_the_store_is_not_rounded_again(tmp_path: Path):
    rounded = as_stored(tiny_classes())
    publish(tmp_path, rounded)
    for ours, theirs in zip(rounded, Store(tmp_path).load(REF).class_latents, strict=True):
        assert np.array_equal(ours.means, theirs.means)
        assert np.array_equal(ours.factors, theirs.factors)


def test_a_version_without_them_has_none(tmp_path: Path):
    publish(tmp_path, NO_CLASSES)
    assert not Store(tmp_path).load(REF).class_latents
    assert not Store(tmp_path).manifest(REF).labelled


def test_mixtures_that_do_not_fit_the_model_are_not_published(tmp_path: Path):
    with pytest.raises(ShapeError, match="has 1 classes, the manifest names 2"):
        publish(tmp_path, ClassLatents(tiny_classes()[:1]))
    with pytest.raises(ShapeError, match="class no has 2 latent dimensions, the spec asks for 3"):
        publish(tmp_path, ClassLatents((mixture(), mixture())))
    assert list(tmp_path.iterdir()) == []


def test_mixtures_before_a_flow_come_back_as_such_and_need_a_flow(tmp_path: Path):
    before = ClassLatents(tiny_classes().mixtures, before_flow=True)
    assert from_arrays(to_arrays(before)).before_flow
    assert not from_arrays(to_arrays(tiny_classes())).before_flow
    assert "in_z" not in to_arrays(tiny_classes())
    with pytest.raises(ShapeError, match="is made for a flow, and the spec has none"):
        publish(tmp_path, before)


def test_mixtures_on_disk_that_are_none_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    broken = safetensors.numpy.save({"weights": np.ones((2, 1))})
    with monkeypatch.context() as context:
        context.setattr("model_store.store.version.class_latents_file", lambda _: broken)
        publish(tmp_path, tiny_classes())
    with pytest.raises(CorruptVersionError, match=r"class_latents\.safetensors: expected weights"):
        Store(tmp_path).load(REF)
    with pytest.raises(CorruptVersionError):
        Store(tmp_path).verify(REF)


# --- what of a mixture is the class's own -------------------------------------------------------


def two_on_a_line(least: float) -> ClassLatents:
    """N(-1, 1) and N(1, 1), which share what lies between them."""
    return ClassLatents(
        tuple(
            GaussianMixture(np.ones(1), np.array([[mean]]), np.ones((1, 1, 1)))
            for mean in (-1.0, 1.0)
        ),
        least,
    )


@pytest.mark.parametrize("z", [-3.0, -0.2, 0.0, 1.5])
def test_the_share_of_a_class_is_the_posterior_of_equally_frequent_classes(z: float):
    share = two_on_a_line(0.0).class_probability(1, np.array([z]))
    assert share == pytest.approx(1 / (1 + np.exp(-2 * z)))


def test_shares_of_mixtures_of_several_components_add_up_to_one():
    classes, noise = tiny_classes(), np.random.default_rng(0)
    for z in noise.normal(0, 3, (20, 3)):
        assert classes.class_probability(0, z) + classes.class_probability(1, z) == pytest.approx(1)


def test_what_is_drawn_is_the_class_s_own_and_spread_as_the_class_is_there():
    classes, noise = two_on_a_line(0.9), np.random.default_rng(0)
    border = np.log(9) / 2  # where p(class | z) = 0.9
    tries = noise.random((5000, classes.max_draws)), noise.normal(size=(5000, classes.max_draws, 1))
    drawn = np.array([classes.draw(1, list(u), eps)[0] for u, eps in zip(*tries, strict=True)])
    missed = statistics.NormalDist(1, 1).cdf(border) ** classes.max_draws
    assert np.mean(drawn < border) == pytest.approx(missed, abs=0.005)
    kept = drawn[drawn >= border]
    normal = statistics.NormalDist(1, 1)
    expected = 1 + normal.pdf(border) / (1 - normal.cdf(border))  # of a normal cut off below
    assert kept.mean() == pytest.approx(expected, abs=0.03)


def test_a_class_that_is_nowhere_likely_gives_the_draw_that_is_most_its_own():
    same = ClassLatents((two_on_a_line(0)[0],) * 2, min_class_probability=0.9)
    eps = np.linspace(-1, 1, same.max_draws)[:, None]
    assert same.draw(0, [0.0] * same.max_draws, eps) == pytest.approx([-2.0])


def test_without_a_least_share_the_first_draw_is_taken():
    classes = two_on_a_line(0.0)
    assert classes.max_draws == 1
    assert classes.draw(0, [0.5], np.array([[4.0]])) == pytest.approx([3.0])


def test_the_least_share_is_kept_with_the_mixtures(tmp_path: Path):
    for least in (0.0, 0.9):
        classes = ClassLatents(tiny_classes().mixtures, least)
        publish(tmp_path / str(least), classes)
        found = Store(tmp_path / str(least)).load(REF).class_latents
        assert found.min_class_probability == pytest.approx(least)
    arrays = safetensors.numpy.load(
        (tmp_path / "0.0/tiny/1/class_latents.safetensors").read_bytes()
    )
    assert "least" not in arrays


@pytest.mark.parametrize("least", [-0.5, 1.0, np.nan])
def test_a_least_share_that_is_no_probability_is_refused(least: float):
    arrays = to_arrays(tiny_classes()) | {"least": np.array(least, np.float32)}
    with pytest.raises(ValueError, match="probability below 1"):
        from_arrays(arrays)


def test_decimals_find_the_probability_that_float64_finds():
    rng = np.random.default_rng(5)

    def mixture() -> GaussianMixture:
        factors = np.tril(rng.normal(size=(2, 3, 3)) * 0.4)
        factors[:, range(3), range(3)] = rng.uniform(0.3, 1.5, (2, 3))
        return GaussianMixture(np.array([0.25, 0.75]), rng.normal(size=(2, 3)), factors)

    classes = ClassLatents((mixture(), mixture()), min_class_probability=0.5)
    for z in rng.normal(size=(20, 3)):
        exact = float(classes._decimal_probability(1, z))
        assert exact == pytest.approx(classes.class_probability(1, z), abs=1e-12)


def test_a_probability_at_the_limit_is_decided_by_decimals(monkeypatch: pytest.MonkeyPatch):
    classes = ClassLatents(tuple(two_on_a_line(1.0)), min_class_probability=0.5)
    middle = np.zeros((classes.max_draws, 1))  # of two equal Gaussians: exactly one half
    first = classes.draw(0, [0.0] * classes.max_draws, middle)
    monkeypatch.setattr(ClassLatents, "class_probability", lambda *_: 0.5 - 1e-13)
    monkeypatch.setattr(ClassLatents, "_decimal_probability", lambda *_: Decimal("0.5"))
    assert classes.draw(0, [0.0] * classes.max_draws, middle).tobytes() == first.tobytes()


@pytest.mark.parametrize(
    ("components", "latent", "problem"),
    [(0, 60_000, "factors are"), (1, 9_000, "more than 67,108,864 factors")],
)
def test_mixtures_that_no_machine_could_hold_are_refused_before_they_are_expanded(
    components: int, latent: int, problem: str
):
    """Arrays of zeros that take no memory until somebody copies them."""
    shape = (1, components)
    arrays: dict[str, np.ndarray] = {
        "weights": np.ones(shape, np.float16),
        "means": np.broadcast_to(np.float16(0), (*shape, latent)),
        "factors": np.broadcast_to(np.float16(0), (*shape, latent * (latent + 1) // 2)),
    }
    with pytest.raises(ValueError, match=problem):
        from_arrays(arrays)
