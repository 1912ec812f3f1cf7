"""The section "In short" of a card: subject, quality, weaknesses and use of a version, in sentences."""

from collections.abc import Mapping, Sequence

from model_store.spec import Description, Metric, ModelRef
from training.evaluation.class_metrics import by_class

_WEAKEST = 3
"""Classes that are named as the weakest ones."""
_RARE = 0.75
"""Share of samples, relative to that of test images, below which a class counts as rare."""
_LISTED_CLASSES = 12
"""Classes up to which all are listed."""

_HOW = """\
A judge, a small classifier of real images, measured the new images: they are as recognisable as the share
of them that it is sure of, relative to test images. Their Frechet distance is 0 if they are distributed as
the test images; it also grows if they lack variety. A test image is covered if a new image is closer to it
than its fifth neighbour among the test images.\
"""


def in_short(ref: ModelRef, description: Description) -> list[str]:
    """Return the sections that say what a version makes, how well, and how it is used."""
    metrics = description.metrics
    samples = _samples(metrics)
    lines = {
        "What it makes": _subject(description),
        "How good new images are": samples or "not measured: there is no judge for these images",
        "How faithful reconstructions are": _reconstructions(metrics),
        "Where it is weak": _weakness(metrics, description.classes or ()),
        "How to use it": f"`zserve generate --model {ref} --n 16`, or "
        f"`GET /generate?n=16&model={ref}`",
    }
    bullets = "\n".join(
        f"- **{title}:** {text.replace('%', ' %')}" for title, text in lines.items() if text
    )
    return ["## In short", bullets, *([_HOW] if samples else [])]


def _subject(description: Description) -> str:
    image = description.spec.image
    colours = "grey" if image.channels == 1 else "colour"
    text = f"{colours} images of {image.width}x{image.height} pixels, as in "
    text += description.training.dataset
    classes = description.classes or ()
    if not classes:
        return text
    if len(classes) > _LISTED_CLASSES:
        return f"{text}, of {len(classes)} classes from {classes[0]} to {classes[-1]}"
    return f"{text}, of the classes {', '.join(classes)}"


def _samples(metrics: Mapping[str, Metric]) -> str:
    parts = [
        _with(metrics, "samples_relative_sure_share", "{:.0%} as recognisable as real images"),
        _with(metrics, "samples_frechet_distance", "Frechet distance {:.2f}")
        + _with(metrics, "real_frechet_distance", " (real images: {:.2f})"),
        _with(metrics, "samples_coverage", "{:.0%} of the test images covered")
        + _with(metrics, "real_coverage", " (by real images: {:.0%})"),
    ]
    return "; ".join(part for part in parts if part)


def _reconstructions(metrics: Mapping[str, Metric]) -> str:
    parts = [
        _with(metrics, "reconstruction_label_agreement", "{:.1%} keep their class"),
        _with(metrics, "test_negative_elbo", "-ELBO {:.2f} nats per image"),
    ]
    return "; ".join(part for part in parts if part)


def _weakness(metrics: Mapping[str, Metric], classes: Sequence[str]) -> str:
    """Name the classes that samples cover least, make rarely, or miss if they are asked for."""
    covered = _by_class(metrics, "samples_coverage", classes)
    made = _by_class(metrics, "samples_share", classes)
    real = _by_class(metrics, "test_share", classes)
    right = _by_class(metrics, "label_right", classes)
    least = sorted(covered, key=lambda name: covered[name])[:_WEAKEST]
    rare = [name for name in made if made[name] < _RARE * real.get(name, 0.0)]
    missed = [name for name in sorted(right, key=lambda name: right[name]) if right[name] < 0.9]
    parts = [
        _listed("least covered", [f"{name} ({covered[name]:.0%})" for name in least]),
        _listed(
            "made too rarely",
            [f"{name} ({made[name]:.1%} instead of {real[name]:.1%})" for name in rare[:_WEAKEST]],
        ),
        _listed(
            "often another class than `label=` asks for",
            [f"{name} ({right[name]:.0%} right)" for name in missed[:_WEAKEST]],
        ),
    ]
    return "; ".join(part for part in parts if part)


def _by_class(
    metrics: Mapping[str, Metric], metric: str, classes: Sequence[str]
) -> dict[str, float]:
    names = {name: by_class(metric, name) for name in classes}
    return {name: metrics[key].value for name, key in names.items() if key in metrics}


def _with(metrics: Mapping[str, Metric], name: str, template: str) -> str:
    return template.format(metrics[name].value) if name in metrics else ""


def _listed(title: str, entries: Sequence[str]) -> str:
    return f"{title}: {', '.join(entries)}" if entries else ""
