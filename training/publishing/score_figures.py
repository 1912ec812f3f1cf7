"""Draw the judge's scores of several versions of one data set, for all images and by class."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from model_store.spec import Metric
from training.evaluation.class_metrics import COLUMNS, by_class
from training.publishing.drawing import INK, figure_png, new_figure

SCORES = {
    "samples_relative_sure_share": "recognisable samples",
    "samples_frechet_distance": "Frechet distance",
    "samples_precision": "precision",
    "samples_recall": "recall",
    "samples_density": "density",
    "samples_coverage": "coverage",
    "neighbour_midpoints_frechet_distance": "Frechet, midpoints",
}
_BETTER = {
    "samples_frechet_distance": "lower is better",
    "samples_density": "1 as real images",
    "neighbour_midpoints_frechet_distance": "lower is better",
}

Metrics = Mapping[str, Metric]


def compared_scores(versions: Mapping[str, Metrics]) -> bytes | None:
    """Plot a bar per version for each score; a dotted line marks real images.

    `versions` are the metrics of each version, which must be of one data set. Returns None if no
    version has a score.
    """
    shown = [name for name in SCORES if any(name in metrics for metrics in versions.values())]
    if not shown:
        return None
    figure = new_figure(1.4 + 1.9 * len(shown), 1.1 + 0.32 * len(versions))
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, shown, strict=True):
        values = [_value(metrics, name) for metrics in versions.values()]
        lengths = [value or 0.0 for value in values]
        axes.barh(list(versions), lengths, color=_colours(versions), alpha=0.7)
        real = _value(next(iter(versions.values())), name.replace("samples_", "real_"))
        if real is not None and name.startswith("samples_"):
            axes.axvline(real, color=INK, linewidth=0.9, linestyle=":")
        for row, value in enumerate(values):
            axes.text(0, row, " -" if value is None else f" {value:.2f}", va="center", fontsize=8)
        _finish(axes, SCORES[name], _BETTER.get(name, "higher is better"))
    panels[0].invert_yaxis()
    figure.tight_layout()
    return figure_png(figure)


def compared_classes(versions: Mapping[str, Metrics], classes: Sequence[str]) -> bytes | None:
    """Plot the numbers of each class: a dot per version, and a grey line for its test images.

    `versions` are the metrics of each version, which must be of one data set. Returns None if no
    version has numbers of single classes.
    """
    shown = [
        name
        for name in COLUMNS
        if name != "test_share"
        and any(by_class(name, classes[0]) in metrics for metrics in versions.values())
    ]
    if not shown:
        return None
    figure = new_figure(1.8 + 2.0 * len(shown), 1.2 + 0.24 * len(classes))
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    rows = range(len(classes))
    for axes, name in zip(panels, shown, strict=True):
        if name == "samples_share":
            first = next(m for m in versions.values() if by_class("test_share", classes[0]) in m)
            axes.scatter(
                _by_classes(first, "test_share", classes), rows, marker="|", s=90, color=INK,
                label="test images",
            )  # fmt: skip
        for (version, metrics), colour in zip(versions.items(), _colours(versions), strict=True):
            values = _by_classes(metrics, name, classes)
            axes.scatter(values, rows, s=22, color=colour, label=version, alpha=0.85)
        axes.set_yticks(rows, classes)
        axes.set_xlim(0, None if name == "samples_share" else 1.02)
        _finish(axes, COLUMNS[name], "share")
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(labels), frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.35 / figure.get_figheight()))
    return figure_png(figure)


def _by_classes(metrics: Metrics, name: str, classes: Sequence[str]) -> list[float]:
    """Return a metric of each class; NaN, which is not drawn, for one that was not measured."""
    values = (_value(metrics, by_class(name, one)) for one in classes)
    return [float("nan") if value is None else value for value in values]


def _value(metrics: Metrics, name: str) -> float | None:
    return metrics[name].value if name in metrics else None


def _colours(versions: Mapping[str, object]) -> list[str]:
    return [f"C{number % 10}" for number in range(len(versions))]  # matplotlib's colour cycle


def _finish(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, loc="left", fontsize=9, color=INK)
    axes.set_xlabel(below, fontsize=8, color=INK)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
