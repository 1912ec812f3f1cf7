"""Write the card of a version, card.md, from its description."""

from collections.abc import Iterable, Mapping

from model_store.arithmetic import ARITHMETIC
from model_store.spec import (
    Description,
    Metric,
    ModelRef,
    ModelSpec,
    Onnx,
    Package,
    TrainingRecord,
)
from training.evaluation.class_metrics import COLUMNS, by_class
from training.publishing import card_summary
from training.publishing.directions_card import directions_section

_CAPTIONS = {
    "samples": "Images decoded from z ~ N(0, I)",
    "classes": "Images sampled for each label, as by `/generate?label=`",
    "reconstructions": "Test images, each above its reconstruction",
    "interpolations": "Interpolations between two test images; the first and the last column are "
    "images of the data set",
    "seed_interpolations": "Straight lines between two latents drawn from N(0, I)",
    "traversal": "One latent dimension at a time from -3 to +3, all others 0; KL in nats",
    "manifold": "The plane of the two latents at the quantiles of N(0, 1)",
    "latents": "Latent means of the test images; circles at one, two and three sigma",
    "loss": "Loss and its parts over the epochs, in nats per image",
}

_RECOMPUTE = """\
`python -m training evaluate {ref}` recomputes every number from the weights and the data, and fails
if one differs by more than its tolerance; with `--quick` it checks some of them in seconds. All numbers
are in the table at the end.\
"""

_EXACT = """\
The network computes with integers, so that an image has the same bytes on every machine. It was made
of the trained float weights without training it again. All numbers and figures are those of the
network that is served; only the numbers that begin with `float_` are those of the float weights, for
comparison.\
"""

_KINDS = {"onnx": "imported graphs of ONNX", "package": "the network of a package"}

_FLOAT = """\
The network is {kind}, and computes with floating-point numbers: the last bits of its results, and so single grey
levels, may differ from machine to machine.\
"""

_CLASSES = """\
The shares of test images and of samples should be equal: a lower share of samples means that the model
makes the class too rarely. `covered` and `recalled` are shares of the class's test images that have a
sample nearby; a low one means that the samples show few of its kinds. The columns that begin with `label`
are about images asked for by `label=`: the share that the judge assigns to the class, that looks real,
and of real images that they resemble.\
"""

_TYPICALITY = """\
`POST /score` gives each image a score, and calls it atypical if 99 % of the test images have a smaller
one. `ood_auroc` is the probability that an image of another kind has a higher score than a test image:
1 if the score tells them apart, 0.5 if it knows nothing. `ood_auroc_of_elbo` is the same by the
likelihood alone, and `ood_atypical` the share that is called atypical.\
"""

_DATA_SETS = ("digits", "garments", "letters")
"""Kinds of images that need data of their own."""

_ACCURACY = """\
A VAE predicts no labels, so an accuracy needs an explanation of what is classified by what:

- `linear_probe_accuracy` and `knn_accuracy` classify test images from mu alone, by logistic
  regression and by nearest neighbours: they tell how well the latents separate the classes.
- `reconstruction_label_agreement` is the share of reconstructions that a judge, a small classifier
  trained on real images, gives the same label as the original.
- `label_right` is the share of images sampled for a label to which the judge gives that label.\
"""

_JUDGE = """\
- The judge was trained on real images only and does not detect nonsense: it is sure of uniform
  noise and of half of the blends of two images. A share of sure samples compares models; it is not
  the share that a person would recognise. The `real_` numbers are the same measurements for images
  of the training split, the best that a model can be expected to reach.\
"""

_LOSS = """\
The loss is `-(log_px - beta * kl)`. `log_px` is summed over all pixels of an image and `kl` over all
latent dimensions, and the mean is taken over the images of a batch only. Averaging over pixels
instead would divide the reconstruction term by {pixels} and leave the KL unchanged, which is the
same as training with a beta {pixels} times as large: the model then ignores the latents, and all
samples look like the mean image. Numbers of code that averages over pixels cannot be compared with
these.\
"""

_LIMITS = """\
- The model was trained on {dataset}, {size} pixels, and reconstructs every upload as such an image.
- Each image is the mean of p(x | z): grey wherever the model is uncertain, hence softer than the
  data.
- -ELBO is an upper bound of -ln p(x). With grey targets it is not the likelihood of binarized
  images; compare it only with numbers of the same protocol.\
"""


def write(
    ref: ModelRef, description: Description, figures: Iterable[str], *, exact: bool = False
) -> str:
    """Return the card as Markdown; `figures` are the names of its figures without `.png`."""
    training, spec = description.training, description.spec
    size = f"{spec.image.width}x{spec.image.height}"
    overall = {k: m for k, m in description.metrics.items() if "[" not in k}
    judged = any(name.startswith("samples_") for name in overall)
    limits = _LIMITS.format(dataset=training.dataset, size=size)
    sections = [
        f"# {ref}",
        f"{_text(training, 'summary') or training.preset}.",
        *_warnings(description.warnings),
        *card_summary.in_short(ref, description),
        "## Numbers",
        _RECOMPUTE.format(ref=ref),
        *_class_table(description),
        *_other_kinds(description),
        *_arithmetic(spec, exact=exact),
        *(["### What the accuracies mean", _ACCURACY] if judged else []),
        *directions_section(description),
        "## Figures",
        "\n\n".join(
            f"{_CAPTIONS.get(name, name)}:\n\n![{name}]({name}.png)" for name in _ordered(figures)
        ),
        "## Training",
        _bullets(_training_details(description)),
        "## Scale of the loss",
        _LOSS.format(pixels=spec.image.pixels),
        "## Limits",
        f"{limits}\n{_JUDGE}" if judged else limits,
        "## All numbers",
        _numbers(overall),
    ]
    return "\n\n".join(sections) + "\n"


def _arithmetic(spec: ModelSpec, *, exact: bool) -> list[str]:
    """Return a section about the arithmetic, or nothing for a float version of our networks."""
    if exact:
        return [f"### Arithmetic: {ARITHMETIC}", _EXACT]
    if isinstance(spec.network, Onnx | Package):
        return ["### Arithmetic: float", _FLOAT.format(kind=_KINDS[spec.network.kind])]
    return []


def _warnings(warnings: Iterable[str]) -> list[str]:
    """Return a section about the faults of the result, or nothing if it has none."""
    lines = [f"- WARNING: {warning}." for warning in warnings]
    return ["## Warnings", "\n".join(lines)] if lines else []


def _training_details(description: Description) -> dict[str, str]:
    training, spec = description.training, description.spec
    return {
        "network": _network(spec),
        "prior": _prior(spec),
        "data": f"{training.dataset}, {_training_images(training)}",
        "likelihood": spec.likelihood.replace("_", " "),
        "objective": _settings(training, "objective"),
        "optimiser": _settings(training, "optimiser"),
        "run": f"preset `{training.preset}`, {training.epochs} epochs, seed {training.seed}, on "
        f"{training.device}, {training.duration_s:.0f} s",
        "code": f"commit {training.source_commit or 'unknown'}",
        "libraries": ", ".join(f"{k} {v}" for k, v in training.libraries.items()),
    }


def _numbers(metrics: Mapping[str, Metric]) -> str:
    rows = []
    for name, metric in metrics.items():
        rows.append(
            f"| {_cell(name)} | {_digits(metric)} | {metric.unit} | {_cell(metric.protocol)} |"
        )
    return "\n".join(
        ["| number | value | unit | how it was measured |", "|---|---|---|---|", *rows]
    )


def _digits(metric: Metric) -> str:
    """Format counts without decimals, values from 2 with two decimals, smaller ones with four."""
    if metric.tolerance == 0 and metric.value == int(metric.value):
        return str(int(metric.value))
    return f"{metric.value:.2f}" if abs(metric.value) >= 2 else f"{metric.value:.4f}"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")  # a | would end the cell


def _class_table(description: Description) -> list[str]:
    """Return a table with one row per class, or nothing if classes were not measured."""
    metrics, classes = description.metrics, description.classes or ()
    columns = {
        name: heading
        for name, heading in COLUMNS.items()
        if classes and all(by_class(name, one) in metrics for one in classes)
    }
    if not columns:
        return []
    rows = [
        f"| {_cell(one)} | "
        + " | ".join(f"{metrics[by_class(name, one)].value:.3f}" for name in columns)
        + " |"
        for one in classes
    ]
    header = f"| class | {' | '.join(columns.values())} |"
    table = "\n".join([header, "|---" * (len(columns) + 1) + "|", *rows])
    return ["### By class", _CLASSES, table]


def _other_kinds(description: Description) -> list[str]:
    """Return what the typicality score tells apart, or nothing if it was not measured."""
    measured = {
        name: metric
        for name, metric in description.metrics.items()
        if name.startswith("ood_") and "[" in name
    }
    if not measured:
        return []
    missing = [k for k in _DATA_SETS if f"ood_auroc[{k}]" not in measured]
    own = {"MNIST": "digits", "Fashion-MNIST": "garments", "glyphs": "letters"}.get(
        description.training.dataset
    )
    absent = [kind for kind in missing if kind != own]
    note = f"Not measured, because the data were missing: {', '.join(absent)}." if absent else ""
    return ["### Images of other kinds", _TYPICALITY, *([note] if note else []), _numbers(measured)]


def _ordered(figures: Iterable[str]) -> list[str]:
    order = list(_CAPTIONS)
    return sorted(figures, key=lambda f: (order.index(f) if f in order else len(order), f))


def _bullets(entries: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {text}" for name, text in entries.items())


def _network(spec: ModelSpec) -> str:
    layers = spec.network.model_dump(exclude={"kind"})
    described = ", ".join(f"{name} {_plain(value)}" for name, value in layers.items())
    return f"{spec.network.kind}, {described}, {spec.latent} latent dimensions"


def _prior(spec: ModelSpec) -> str:
    if spec.prior is None:
        return "N(0, I)"
    return (
        f"a flow of {spec.prior.couplings} affine couplings, hidden {spec.prior.hidden}, between z "
        "and u ~ N(0, I); all latents of the service are u"
    )


def _settings(training: TrainingRecord, part: str) -> str:
    """List the settings that are not off, such as `beta 1, targets grey`."""
    tree = training.settings.get(part)
    if not isinstance(tree, dict):
        return "unknown"
    used = {k: v for k, v in tree.items() if v not in (None, False, 0, []) and k != "name"}
    first = [str(tree["name"])] if "name" in tree else []
    return ", ".join(first + [f"{k.replace('_', ' ')} {_plain(v)}" for k, v in used.items()])


def _text(training: TrainingRecord, key: str) -> str | None:
    value = training.settings.get(key)
    return value if isinstance(value, str) else None


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "-".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _training_images(training: TrainingRecord) -> str:
    data = training.settings.get("data")
    images = data.get("train_images") if isinstance(data, dict) else None
    if images is None:
        return "the whole training split; measured on the test split"
    return f"the first {images} training images; measured on the test split"
