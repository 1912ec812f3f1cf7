"""A parser of command lines that suggests what a mistyped word resembles, and words of commands."""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Iterable
from typing import NoReturn

SIMILARITY = 0.6
"""Similarity of two words, between 0 and 1, from which one is suggested for the other."""

EXIT_WITHOUT_READER = 141
"""128 + SIGPIPE, the exit status of a program whose output nobody reads any more."""

_INVALID_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")
_UNRECOGNISED = re.compile(r"unrecognized arguments: (--[\w-]+)")


class ArgumentParser(argparse.ArgumentParser):
    """argparse's parser, which says which option or value was probably meant."""

    def error(self, message: str) -> NoReturn:
        """End the program with the usage, the message, and a suggestion if a word resembles one."""
        super().error(message + self._suggestion(message))

    def _suggestion(self, message: str) -> str:
        if choice := _INVALID_CHOICE.search(message):
            return suggestion(choice[1], re.findall(r"[\w.-]+", choice[2]))
        if option := _UNRECOGNISED.match(message):
            return suggestion(option[1], _options(self))
        return ""


def _options(parser: argparse.ArgumentParser) -> set[str]:
    """Return the long options of a parser and of its subcommands."""
    options = set()
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        options |= {each for each in action.option_strings if each.startswith("--")}
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - its name in argparse
            for subparser in action.choices.values():
                options |= _options(subparser)
    return options


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 version`, `2 versions`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def without_reader() -> int:
    """Return the exit status for a BrokenPipeError of stdout, whose reader, such as `head`, has left.

    What is still to be written is thrown away, so that Python is silent at its end.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_WITHOUT_READER


def suggestion(word: str, words: Iterable[str], similarity: float = SIMILARITY) -> str:
    """Return `; did you mean X?` if a word resembles one of the words, else an empty text."""
    similar = difflib.get_close_matches(word[:80], sorted(words), n=2, cutoff=similarity)
    return f"; did you mean {' or '.join(similar)}?" if similar else ""
