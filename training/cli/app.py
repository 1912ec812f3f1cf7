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
from training.cli.described import DescribedCommand, DescribedGroup

app = typer.Typer(
    cls=DescribedGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train variational autoencoders and publish them into the model store.",
)
for command in (
    train.train,
    publish.publish,
    republish.republish,
    complete.complete,
    evaluate.evaluate,
    compare.compare,
    judge.judge,
    tune.tune,
    presets.presets,
):
    app.command(cls=DescribedCommand)(command)
app.add_typer(data.app, name="data")
