"""`python -m training`: one module a command; `app` puts them together."""

import typer

from training.commands import presets, publish, train

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train variational autoencoders and publish them into the model store.",
)
app.command()(train.train)
app.command()(publish.publish)
app.command()(presets.presets)
