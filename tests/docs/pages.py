"""The pages of Markdown, and the blocks of code in them."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt

from tests.e2e.server import CHECKOUT

DECISIONS = "docs/decisions"
_RUN = ("README.md", "clients/README.md", "docs/*.md")
_ALL = (
    "*.md",
    ".github/**/*.md",
    "benchmarks/**/*.md",
    "clients/**/*.md",
    "docker/**/*.md",
    "docs/**/*.md",
    "examples/**/*.md",
    "weights/**/*.md",
)


def _matching(patterns: tuple[str, ...]) -> tuple[str, ...]:
    paths = {path for pattern in patterns for path in CHECKOUT.glob(pattern)}
    return tuple(sorted(path.relative_to(CHECKOUT).as_posix() for path in paths))


PAGES = _matching(_RUN)
"""Pages whose blocks of code the tests run."""

ALL_PAGES = _matching(_ALL)
"""Every page of the repository: links are checked in all of them."""

WORDS = {
    "sh": "run by bash, one line after the other; a line that starts the service leaves it running",
    "sh mnist": "run by bash with the real MNIST; skipped if MNIST is missing",
    "sh long": "trains for minutes; run by bash with less training and measuring added to ARGS",
    "sh install": "installs from a registry; checked by `bash -n`, and run by `make test-install`",
    "sh docker": "checked by `bash -n`; every path in it must exist",
    "python": "run as a script",
    "toml FILE": "must be valid; written to FILE for the blocks after it",
    "json": "must be valid",
    "yaml": "must be valid",
    "html": "a program for a browser; not run",
    "csharp": "a program for .NET; not run",
    "kotlin": "a program for Android; not run",
    "text": "a diagram or an output; not checked",
}
"""Words behind the three backticks of a block, and how a test treats the block."""


@dataclass(frozen=True)
class Block:
    """A block of code between two fences."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int


def read(page: str) -> str:
    """Return the text of a page."""
    return (CHECKOUT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page in order; a fence without a word is a text."""
    result = []
    for token in MarkdownIt("commonmark").parse(read(page)):
        if token.type == "fence":
            language, *words = token.info.split() or ["text"]
            line = (token.map or [0])[0] + 1
            result.append(Block(language, tuple(words), token.content, line))
    return result


def headings(page: str) -> list[str]:
    """Return the headings of a page without their marks, in order."""
    tokens = MarkdownIt("commonmark").enable("table").parse(read(page))
    return [
        after.content for token, after in itertools.pairwise(tokens) if token.type == "heading_open"
    ]


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def links(page: str) -> Iterator[str]:
    """Yield the targets of links and pictures of a page."""
    for token in MarkdownIt("commonmark").enable("table").parse(read(page)):
        for child in token.children or ():
            target = child.attrs.get("href") or child.attrs.get("src")
            if target:
                yield str(target)
