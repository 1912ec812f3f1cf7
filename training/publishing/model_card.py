"""The card of a version: what people should know before they use it, written from its manifest."""

from collections.abc import Iterable, Mapping

from model_store.spec import Description, Metric, ModelRef, ModelSpec, TrainingRecord

_CAPTIONS = {
    "samples": "Images decoded from z ~ N(0, I)",
    "classes": "Images drawn for each label, `/generate?label=`",
    "reconstructions": "Test images, and below each what the model makes of it",
    "interpolations": "From one test image to another: the first and the last column are images "
    "of the data set",
    "seed_interpolations": "Straight lines between two latents drawn from N(0, I)",
    "traversal": "One latent dimension at a time from -3 to +3, all others 0; KL in nats",
    "manifold": "The plane of the two latents at the quantiles of N(0, 1)",
    "latents": "Where the encoder puts the test images; circles at one, two and three sigma",
    "loss": "Loss and its parts over the epochs, in nats per image",
}

_RECOMPUTE = """\
`python -m training evaluate {ref}` measures every number again from the weights alone and fails
where one differs by more than its tolerance; with `--quick` it takes seconds.\
"""

_ACCURACY = """\
A VAE predicts no labels, so a bare "accuracy" of it means nothing. Here it is always said of
what: of a linear classifier, or of the nearest neighbours, that get only mu (how well the latents
separate the classes); of a judge, a small classifier of real images, that labels a reconstruction
as its original (whether the class survives); or of the judge that gives an image the class that
was asked for.\
"""

_JUDGE = """\
- The judge knows real images only and does not detect nonsense: it is sure of uniform noise and of
  half the blends of two images. A share of sure samples compares models; it is not the share that
  a person would recognise. `real_` are the same numbers for images of the training split, the
  floor that no model can be expected to pass.\
"""

_LOSS = """\
The loss is `-(log_px - beta * kl)`: `log_px` is summed over all pixels of an image, `kl` over all
latent dimensions, and only then is the mean taken over the images of a batch. Averaging over
pixels instead would divide the reconstruction by {pixels} and leave the KL as it is, which is the
same as training with a beta {pixels} times as large: the latents are then ignored and samples blur
into one mean image. Numbers from code that averages cannot be compared with these.\
"""

_LIMITS = """\
- It knows images like those of {dataset}, {size} pixels, and draws whatever it is given as one.
- Each image is the mean of p(x | z): grey where the model is unsure, hence softer than the data.
- -ELBO bounds -ln p(x) from above; with grey targets it is no likelihood of binarized images and
  compares only with numbers of the same protocol.\
"""


def write(ref: ModelRef, description: Description, figures: Iterable[str]) -> str:
    """Markdown; `figures` are names of the version's figures without `.png`."""
    training, spec = description.training, description.spec
    size = f"{spec.image.width}x{spec.image.height}"
    overall = {k: m for k, m in description.metrics.items() if "[" not in k}
    judged = any(name.startswith("samples_") for name in overall)
    limits = _LIMITS.format(dataset=training.dataset, size=size)
    sections = [
        f"# {ref}",
        f"{_text(training, 'summary') or training.preset}.",
        "## Numbers",
        _RECOMPUTE.format(ref=ref),
        _numbers(overall),
        *_of_classes(description),
        *(["### Accuracy of what", _ACCURACY] if judged else []),
        "## Figures",
        "\n\n".join(
            f"{_CAPTIONS.get(name, name)}:\n\n![{name}]({name}.png)" for name in _ordered(figures)
        ),
        "## How it was made",
        _bullets(_made(description)),
        "## The scale of the loss",
        _LOSS.format(pixels=spec.image.pixels),
        "## Limits",
        f"{limits}\n{_JUDGE}" if judged else limits,
    ]
    return "\n\n".join(sections) + "\n"


def _made(description: Description) -> dict[str, str]:
    training, spec = description.training, description.spec
    return {
        "network": _network(spec),
        "prior": _prior(spec),
        "data": f"{training.dataset}, {_extent(training)}",
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
        protocol = metric.protocol.replace("|", r"\|")  # a | inside a cell would end it
        rows.append(f"| {name} | {_digits(metric)} | {metric.unit} | {protocol} |")
    return "\n".join(
        ["| number | value | unit | how it was measured |", "|---|---|---|---|", *rows]
    )


def _digits(metric: Metric) -> str:
    """Two decimals of nats, four of shares, none of counts."""
    if metric.tolerance == 0 and metric.value == int(metric.value):
        return str(int(metric.value))
    return f"{metric.value:.2f}" if abs(metric.value) >= 2 else f"{metric.value:.4f}"


def _of_classes(description: Description) -> list[str]:
    """A table with a row a class, where the numbers of classes were measured."""
    metrics = description.metrics
    classes = [c for c in description.classes or () if f"label_right[{c}]" in metrics]
    if not classes:
        return []
    measures = ("right", "precision", "recall")
    rows = [
        f"| {name} | "
        + " | ".join(_digits(metrics[f"label_{measure}[{name}]"]) for measure in measures)
        + " |"
        for name in classes
    ]
    words = "Of each class, `label_right`, `label_precision` and `label_recall`:"
    return [words, "\n".join([f"| class | {' | '.join(measures)} |", "|---|---|---|---|", *rows])]


def _ordered(figures: Iterable[str]) -> list[str]:
    order = list(_CAPTIONS)
    return sorted(figures, key=lambda f: (order.index(f) if f in order else len(order), f))


def _bullets(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items())


def _network(spec: ModelSpec) -> str:
    layers = spec.network.model_dump(exclude={"kind"})
    described = ", ".join(f"{name} {_plain(value)}" for name, value in layers.items())
    return f"{spec.network.kind}, {described}, {spec.latent} latent dimensions"


def _prior(spec: ModelSpec) -> str:
    if spec.prior is None:
        return "N(0, I)"
    return (
        f"a flow of {spec.prior.couplings} affine couplings, hidden {spec.prior.hidden}, between z "
        "and u ~ N(0, I); all latents that people see are u"
    )


def _settings(training: TrainingRecord, part: str) -> str:
    """`beta 1, targets grey`: the switches that are on."""
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


def _extent(training: TrainingRecord) -> str:
    data = training.settings.get("data")
    images = data.get("train_images") if isinstance(data, dict) else None
    if images is None:
        return "the whole training split; measured on the test split"
    return f"the first {images} training images; measured on the test split"
