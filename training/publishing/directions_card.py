"""The part of the card about directions of the latent space."""

from collections.abc import Sequence

from model_store.directions import CLASS_PREFIX
from model_store.spec import Description, Direction, DirectionEffect, DirectionTable

_ATTRIBUTES = """\
`POST /traverse?direction=NAME` and `POST /edit?direction=NAME&by=2` move an image along a direction.
One step is one standard deviation of the latents of training images along it. The table has the mean
change of every attribute in standard deviations of that attribute: in bold the one that the direction
is named after, which should be large, and beside it the others, which should be 0. `keeps` is the share
of images that keep their class.\
"""

_CLASSES = """\
Towards a class, `gets` is the share of images of other classes that become images of the class, and
`keeps` the share of all images that keep their class:\
"""


def directions_section(description: Description) -> list[str]:
    """Return the paragraphs about the directions of a version; none if it has no directions."""
    table = description.directions
    if table is None:
        return []
    attributes = [entry for entry in table.entries if not entry.name.startswith(CLASS_PREFIX)]
    classes = [entry for entry in table.entries if entry.name.startswith(CLASS_PREFIX)]
    return [
        "## Directions",
        *([_ATTRIBUTES, _attribute_table(attributes)] if attributes else []),
        *([_CLASSES, _class_table(classes)] if classes else []),
        *_predicted(attributes),
        _how(table),
    ]


def _attribute_table(entries: Sequence[Direction]) -> str:
    columns = list(entries[0].effects[0].changes) if entries[0].effects else []
    rows = [
        [f"`{entry.name}`", f"{effect.by:+g}", *_changes(entry, effect, columns), _share(effect)]
        for entry in entries
        for effect in entry.effects
    ]
    return _markdown(["along", "by", *columns, "keeps"], rows)


def _class_table(entries: Sequence[Direction]) -> str:
    rows = []
    for entry in entries:
        cells = [f"`{_cell(entry.name)}`"]
        for effect in entry.effects:
            gets = "" if effect.gets_class is None else f"{effect.gets_class:.2f}"
            cells += [gets, _share(effect)]
        rows.append(cells)
    sizes = [f"{effect.by:+g}" for effect in entries[0].effects]
    header = [f"{what}, {size}" for size in sizes for what in ("gets", "keeps")]
    return _markdown(["along", *header], rows)


def _changes(entry: Direction, effect: DirectionEffect, columns: Sequence[str]) -> list[str]:
    cells = []
    for name in columns:
        text = f"{effect.changes.get(name, 0.0):+.2f}"
        cells.append(f"**{text}**" if name == entry.name else text)
    return cells


def _share(effect: DirectionEffect) -> str:
    return "" if effect.keeps_class is None else f"{effect.keeps_class:.3f}"


def _predicted(entries: Sequence[Direction]) -> list[str]:
    """Say how well the attributes that cannot be measured in an image are predicted."""
    scores = [f"{entry.name} {entry.r2:.2f}" for entry in entries if entry.r2 is not None]
    if not scores:
        return []
    text = f"Attributes are predicted, with R^2 on the test split: {', '.join(scores)}. "
    return [text + "A change that is predicted badly is measured badly too."]


def _how(table: DirectionTable) -> str:
    return f"How: {_cell(table.protocol)}."


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
