"""Card and record of a version that was imported, before it is measured."""

from importlib.metadata import version

from model_store.spec import Description, ModelRef, ModelSpec, Onnx, TrainingRecord

PRESET = "imported"
EXACT_LATER = (
    "float; `python -m training evaluate {ref} --data DATASET` measures it and publishes it in the exact "
    "arithmetic"
)
FLOAT_ONLY = (
    "float: it is run by ONNX Runtime as it is, so the last bits of its results may differ from machine "
    "to machine"
)


def description(
    spec: ModelSpec, source: str, classes: tuple[str, ...] | None = None
) -> Description:
    """Describe an imported version; `source` says what it was made of."""
    record = TrainingRecord(
        preset=PRESET,
        dataset="unknown data",
        seed=0,
        epochs=0,
        settings={"summary": f"imported from {source}", "source": source},
        libraries={"onnxruntime": version("onnxruntime")} if isinstance(spec.network, Onnx) else {},
    )
    return Description(spec=spec, training=record, classes=classes)


def card(ref: ModelRef, description: Description) -> str:
    """Return the card of a version without numbers, as Markdown."""
    spec, source = description.spec, description.training.settings["source"]
    graphs = isinstance(spec.network, Onnx)
    lines = [
        f"# {ref}",
        f"Imported from {source}. zserve did not train it, and has not measured it.",
        "\n".join(
            [
                f"- images: {spec.image.channels}x{spec.image.height}x{spec.image.width}",
                f"- latent dimensions: {spec.latent}",
                f"- arithmetic: {FLOAT_ONLY if graphs else EXACT_LATER.format(ref=ref)}",
            ]
        ),
        *([_POINT] if isinstance(spec.network, Onnx) and spec.network.posterior == "point" else []),
        "## Numbers",
        _NO_NUMBERS.format(ref=ref),
    ]
    return "\n\n".join(lines) + "\n"


_POINT = """\
The encoder gives a latent without a spread. sigma is set to 0.011, so KL and -ELBO are not those of a trained
VAE, and samples of N(0, I) may fall where no image was encoded.\
"""

_NO_NUMBERS = """\
None yet. `python -m training evaluate {ref} --data DATASET`, with the data set that the model was trained on,
measures it and publishes the next version, with numbers and figures.\
"""
