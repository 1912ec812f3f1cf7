"""The pages of Markdown, and the blocks of code in them."""

from dataclasses import dataclass

from markdown_it import MarkdownIt

from tests.e2e.server import CHECKOUT

PAGES = tuple(
    path.relative_to(CHECKOUT).as_posix()
    for path in (
        CHECKOUT / "README.md",
        CHECKOUT / "clients" / "README.md",
        *sorted((CHECKOUT / "docs").glob("*.md")),
    )
)

WORDS = {
    "sh": "run by bash, line after line; a line that starts the service leaves it running",
    "sh mnist": "the same with the real MNIST; left out where it is missing",
    "sh docker": "read by `bash -n`, and every path that it names is there",
    "python": "run as a script",
    "toml FILE": "valid, and written to FILE for the blocks behind it",
    "json": "valid",
    "yaml": "valid",
    "text": "a picture or an output",
}
"""What stands behind the three backticks, and what a test does with the block."""


@dataclass(frozen=True)
class Block:
    """Code between two fences."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int


def read(page: str) -> str:
    """The text of a page."""
    return (CHECKOUT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """All blocks of a page, from above; a fence without a word is a text."""
    found = []
    for token in MarkdownIt("commonmark").parse(read(page)):
        if token.type == "fence":
            language, *words = token.info.split() or ["text"]
            line = (token.map or [0])[0] + 1
            found.append(Block(language, tuple(words), token.content, line))
    return found
