"""The `python -m training` application: one module per command, assembled here.

Importing it imports neither PyTorch nor the model store, which `--help` and `presets` do not
need. Commands import the rest of `training` inside of their functions.
"""

import typer

from training.cli import (
    compare,
    complete,
    data,
    evaluate,
    judge,
    presets,
    publish,
    republish,
    train,
    tune,
)

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train variational autoencoders and publish them into the model store.",
)
app.command()(train.train)
app.command()(publish.publish)
app.command()(republish.republish)
app.command()(complete.complete)
app.command()(evaluate.evaluate)
app.command()(compare.compare)
app.command()(judge.judge)
app.add_typer(data.app, name="data")
app.command()(tune.tune)
app.command()(presets.presets)
