"""Check that the wheels of a folder hold every file of their packages, and mark them as typed.

    python -m scripts.check_wheels dist        (make wheels)

Every file of a package that git tracks must be in its wheel, also presets, the page and judges.
"""

import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.build_backend import DATA, PACKAGES, PARENT

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"zserve": ROOT, "zserve_client": ROOT / "clients"}
"""Package of a wheel -> its parent folder."""
MOVED = (*PACKAGES, DATA)
"""Folders of the checkout that the wheel of zserve has below zserve."""


def tracked_files(package: str) -> set[str]:
    """Return the tracked files of a package, as a wheel names them."""
    moved = MOVED if package == PARENT else ()
    command = ["git", "ls-files", "-z", "--", package, *moved]
    listing = subprocess.run(
        command, cwd=FOLDERS[package], capture_output=True, text=True, check=True
    )
    names = [name for name in listing.stdout.split("\0") if name]
    return {f"{PARENT}/{n}" if n.partition("/")[0] in moved else n for n in names}


def problems_of_wheel(names: Sequence[str], packages: Sequence[str]) -> Iterator[str]:
    """Yield what is missing in a wheel of these files, which should hold these packages."""
    held = set(names)
    for name in sorted(held):
        top = name.partition("/")[0]
        if top not in FOLDERS and not top.endswith((".dist-info", ".data")):
            yield f"{name} would land beside the packages of other projects"
    for package in packages:
        if f"{package}/py.typed" not in held:
            yield f"{package} has no py.typed, so type checkers ignore its annotations"
        missing = sorted(tracked_files(package) - held)
        yield from (f"{name} is tracked by git and not in the wheel" for name in missing)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is wrong with the wheels of a folder; 1 if anything is."""
    (folder,) = sys.argv[1:] if arguments is None else arguments
    wheels = sorted(Path(folder).glob("*.whl"))
    found: dict[str, list[str]] = {package: [] for package in FOLDERS}
    problems = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
        packages = [package for package in FOLDERS if f"{package}/__init__.py" in names]
        for package in packages:
            found[package].append(wheel.name)
        problems += [f"{wheel.name}: {each}" for each in problems_of_wheel(names, packages)]
    problems += [
        f"{package} is in {len(where)} wheels of {folder}, 1 is expected"
        for package, where in found.items()
        if len(where) != 1
    ]
    print("\n".join(problems) or f"{len(wheels)} wheels hold all files of {', '.join(FOLDERS)}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
