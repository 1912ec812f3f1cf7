"""Build the documentation site: `make docs-site`.

    python -m scripts.build_docs_site

Copies the Markdown of the repository, with the pictures that it shows, into build/docs-site/pages in
the layout of the repository, so that links between pages work on the site as they do in the
repository. Then runs `zensical build --strict`, which fails on warnings such as a broken link. The
site is build/docs-site/site.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGING = ROOT / "build" / "docs-site"
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "clients/README.md",
    "docker/README.md",
    "docs/**/*.md",
    "benchmarks/results/*.md",
)
"""Patterns of the pages, relative to the repository; one that matches nothing is skipped."""
_FENCE = re.compile(r"^( *```\w+) .*$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#\s]+)")


def main() -> int:
    """Stage the pages and build the site; return 1 if a file is missing, or zensical's status."""
    shutil.rmtree(STAGING, ignore_errors=True)
    missing = []
    for page in pages():
        _stage(page)
        for file in linked_files(page):
            if file.is_file():
                _stage(file)
            else:
                missing.append(f"{page.relative_to(ROOT)} links to {file}, which does not exist")
    if missing:
        print("\n".join(missing), file=sys.stderr)
        return 1
    shutil.copy(ROOT / "docs" / "zensical.toml", STAGING)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    return subprocess.run(command, cwd=STAGING, check=False).returncode


def pages() -> list[Path]:
    """Return the pages of the site."""
    return sorted({path for pattern in PAGES for path in ROOT.glob(pattern)})


def linked_files(page: Path) -> Iterator[Path]:
    """Yield the files other than Markdown to which a page links; zensical does not check them."""
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:")) and not target.endswith(".md"):
            yield (page.parent / target).resolve()


def _stage(path: Path) -> None:
    copy = STAGING / "pages" / path.relative_to(ROOT)
    copy.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".md":
        copy.write_text(with_plain_fences(path.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        shutil.copy(path, copy)


def with_plain_fences(markdown: str) -> str:
    """Remove what tests read after the language of a block, as in `sh serve`; zensical has no such word."""
    return _FENCE.sub(r"\1", markdown)


if __name__ == "__main__":
    sys.exit(main())
