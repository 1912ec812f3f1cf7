"""`python -m training data glyphs`."""

from pathlib import Path
from typing import Annotated

import typer


def glyphs(
    *,
    fonts: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder to search for fonts; repeat it for several (default: where Debian's "
            "packages put them)."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write, which must not exist (default: glyphs/ in the data folder)."
        ),
    ] = None,
) -> None:
    """Render letters and digits from open fonts: 62 classes, 32x32, white on black.

    Families of fonts are either trained on or tested on. Fonts without a recognised open licence,
    symbols, small capitals and near duplicates are left out; LICENCES.md lists the fonts used.
    """
    from training.data.glyphs.data_set import build
    from training.data.glyphs.fonts import CHARACTERS, FOLDERS
    from training.settings import TrainingSettings

    folder = out or TrainingSettings().data_dir / "glyphs"
    built = build(folder, fonts or FOLDERS, lambda stage: typer.echo(f"{stage} ...", err=True))
    for reason, number in built.left_out.items():
        typer.echo(f"{number} fonts left out: {reason}", err=True)
    typer.echo(
        f"{folder}: {len(built.train)} fonts to train on and {len(built.test)} to test on, of "
        f"{built.families} families, {len(CHARACTERS)} images each"
    )
