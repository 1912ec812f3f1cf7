"""`python -m training presets`."""

import typer

from training.config import load_preset, preset_names


def presets() -> None:
    """List the presets."""
    names = preset_names()
    width = max(map(len, names))
    for name in names:
        typer.echo(f"{name:<{width}}  {load_preset(name).summary}")
