"""Check that a tag may be released, and print its section of the changelog.

    python -m scripts.check_release v1.2.3

Both distributions must have the version of the tag, and CHANGELOG.md must have a dated section for
it that is not empty.
"""

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYPROJECTS = ("pyproject.toml", "clients/pyproject.toml")


class ReleaseError(Exception):
    """The tag cannot be released as the checkout is."""


def version_of_tag(tag: str) -> str:
    """Return `1.2.3` of `v1.2.3`; raise ReleaseError for any other form."""
    if not re.fullmatch(r"v\d+\.\d+\.\d+((a|b|rc)\d+)?", tag):
        raise ReleaseError(f"the tag is {tag!r}; v1.2.3 or v1.2.3rc1 is expected")
    return tag[1:]


def check_versions(version: str, root: Path) -> None:
    """Raise ReleaseError unless every distribution has this version."""
    for name in PYPROJECTS:
        declared = tomllib.loads((root / name).read_text())["project"]["version"]
        if declared != version:
            raise ReleaseError(f"{name} has version {declared}, the tag says {version}")


def notes_of(version: str, changelog: str) -> str:
    """Return the text of a version's section; raise ReleaseError if it is missing or empty."""
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}\n(.*?)(?=^## |^\[|\Z)"
    section = re.search(heading, changelog, flags=re.MULTILINE | re.DOTALL)
    if section is None:
        raise ReleaseError(
            f"CHANGELOG.md has no section `## [{version}] - YYYY-MM-DD`; "
            "rename Unreleased, and add an empty Unreleased above it"
        )
    notes = section[1].strip()
    if not notes:
        raise ReleaseError(f"the section of {version} in CHANGELOG.md is empty")
    return notes


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the notes of a tag; 1 with one line on stderr if it cannot be released."""
    (tag,) = sys.argv[1:] if arguments is None else arguments
    try:
        version = version_of_tag(tag)
        check_versions(version, ROOT)
        notes = notes_of(version, (ROOT / "CHANGELOG.md").read_text())
    except ReleaseError as error:
        print(f"{tag}: {error}", file=sys.stderr)
        return 1
    print(notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
