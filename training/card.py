"""The card of a version: what people should know before they use it, written from its manifest."""

from collections.abc import Iterable, Mapping

from model_store import Description, Metric, ModelRef, ModelSpec
from training.config import Preset

_CAPTIONS = {
    "samples": "Images decoded from z ~ N(0, I)",
    "reconstructions": "Test images, and below each what the model makes of it",
    "traversal": "One latent dimension at a time from -3 to +3, all others 0; KL in nats",
    "loss": "Loss and its parts over the epochs, in nats per image",
}

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
  compares only with numbers of the same protocol.
- Nothing here says how many samples a person would recognise.\
"""


def write(ref: ModelRef, description: Description, preset: Preset, figures: Iterable[str]) -> str:
    """Markdown; `figures` are names of the version's figures without `.png`."""
    training, spec = description.training, description.spec
    size = f"{spec.image.width}x{spec.image.height}"
    sections = [
        f"# {ref}",
        f"{preset.summary}.",
        "## Numbers",
        _numbers(description.metrics),
        "## Figures",
        "\n\n".join(f"{_CAPTIONS[name]}:\n\n![{name}]({name}.png)" for name in figures),
        "## How it was made",
        _bullets(
            {
                "network": _network(spec),
                "data": f"{training.dataset}, {_extent(preset)}",
                "objective": f"Bernoulli likelihood, {preset.objective.targets} targets, "
                f"beta {preset.objective.beta:g}",
                "optimiser": f"Adam, learning rate {preset.optimiser.learning_rate:g}, batches of "
                f"{preset.optimiser.batch_size}, {training.epochs} epochs, seed {training.seed}",
                "run": f"preset `{training.preset}` on {training.device}, "
                f"{training.duration_s:.0f} s",
                "code": f"commit {training.source_commit or 'unknown'}",
                "libraries": ", ".join(f"{k} {v}" for k, v in training.libraries.items()),
            }
        ),
        "## The scale of the loss",
        _LOSS.format(pixels=spec.image.pixels),
        "## Limits",
        _LIMITS.format(dataset=training.dataset, size=size),
    ]
    return "\n\n".join(sections) + "\n"


def _numbers(metrics: Mapping[str, Metric]) -> str:
    rows = [f"| {k} | {m.value:.2f} | {m.unit} | {m.protocol} |" for k, m in metrics.items()]
    # a | inside a cell would end it
    rows = [row.replace("(x | z)", r"(x \| z)").replace("(z | x)", r"(z \| x)") for row in rows]
    rows = [row.replace(" || ", r" \|\| ") for row in rows]
    return "\n".join(
        ["| number | value | unit | how it was measured |", "|---|---|---|---|", *rows]
    )


def _bullets(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items())


def _network(spec: ModelSpec) -> str:
    layers = spec.network.model_dump(exclude={"kind"})
    described = ", ".join(f"{name} {_plain(value)}" for name, value in layers.items())
    return f"{spec.network.kind}, {described}, {spec.latent} latent dimensions"


def _plain(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _extent(preset: Preset) -> str:
    if preset.data.train_images is None:
        return "the whole training split; measured on the test split"
    return f"the first {preset.data.train_images} training images; measured on the test split"
