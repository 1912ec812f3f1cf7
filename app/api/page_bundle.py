"""Which form of the page is served: the bundle, or the modules that it was made from.

`make page` writes app/web/bundle: the modules in a few minified files, an index.html that loads them,
and a checksum of the sources. A bundle whose sources have changed since is not served, so that an
edited module is seen after a reload, and a checkout needs no Node.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

PLAIN = "index.html"
BUNDLED = "bundle/index.html"
_CHECKSUM = "bundle/sources.sha256"

_checked: dict[Path, tuple[tuple[object, ...], str]] = {}
"""Folder -> state of its files, and the page to serve."""


def sources(folder: Path) -> list[Path]:
    """Return the files that a bundle is made from, sorted by their paths below the folder."""
    return sorted(_sources(folder), key=lambda path: path.relative_to(folder).as_posix())


def _sources(folder: Path) -> Iterator[Path]:
    yield folder / PLAIN
    yield folder / "style.css"
    yield from folder.glob("css/**/*.css")
    yield from folder.glob("js/**/*.js")


def sources_checksum(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of the sources, as scripts/page/build.mjs does."""
    digest = hashlib.sha256()
    for path in sources(folder):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def front_page(folder: Path) -> str:
    """Return the path of the index.html to serve. Files are read again only after one has changed."""
    if not (folder / BUNDLED).is_file():
        return PLAIN
    state = tuple(_stamp(path) for path in [*sources(folder), folder / _CHECKSUM])
    if folder not in _checked or _checked[folder][0] != state:
        is_fresh = (folder / _CHECKSUM).read_text().strip() == sources_checksum(folder)
        _checked[folder] = (state, BUNDLED if is_fresh else PLAIN)
    return _checked[folder][1]


def _stamp(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return str(path), stat.st_mtime_ns, stat.st_size
