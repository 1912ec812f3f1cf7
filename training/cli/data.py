"""`python -m training data`: draw data sets from packages with an open licence."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.described import DescribedCommand, DescribedGroup
from training.cli.glyphs import glyphs

if TYPE_CHECKING:
    from training.data.avatars import Artist
    from training.data.rendered import Rendered

app = typer.Typer(
    cls=DescribedGroup,
    help="Draw a data set as a folder of images, for presets of the data set `folder`.",
)

Out = Annotated[
    Path | None,
    typer.Option(help="New folder to write (default: one in ZSERVE_DATA_DIR, or in data/)."),
]


app.command(cls=DescribedCommand)(glyphs)


@app.command(cls=DescribedCommand)
def avatars(
    *,
    out: Out = None,
    size: Annotated[int, typer.Option(min=32, max=256, help="Height and width in pixels.")] = 64,
    train: Annotated[int, typer.Option(min=1, help="Number of images to train on.")] = 12_000,
    test: Annotated[int, typer.Option(min=1, help="Number of images to measure on.")] = 2_000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the faces.")] = 0,
) -> None:
    """Draw cartoon faces in colour, in classes by hairstyle; about a minute.

    The same seed gives the same faces. The style is ToonHead by Johan Melin, CC BY 4.0; DiceBear
    draws it. Needs the packages dicebear-core, dicebear-styles and resvg-py.
    """
    from training.data import rendered
    from training.data.avatars import Artist
    from training.settings import TrainingSettings

    name = "avatars" if size == 64 else f"avatars-{size}"
    folder = out or TrainingSettings().data_dir / name
    artist = Artist(size, seed)
    faces = _faces(artist, {"train": train, "test": test})
    rendered.write(folder, _shown(faces, train + test), artist.licences())
    typer.echo(f"{folder}: {train} faces to train on and {test} to measure on, {size}x{size}")


def _shown(images: "Iterator[Rendered]", total: int) -> "Iterator[Rendered]":
    """Yield the images under a progress bar, if stderr is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(images, "drawing", total, console=console, disable=not console.is_terminal)


def _faces(artist: "Artist", splits: dict[str, int]) -> "Iterator[Rendered]":
    from training.data.rendered import Rendered

    for split, images in splits.items():
        for number in range(images):
            face = artist.draw(split, number)
            path = f"{split}/{face.hairstyle}/{number:05d}.png"
            yield Rendered(path, face.image, face.attributes)
