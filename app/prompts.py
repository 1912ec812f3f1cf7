"""Find the classes that a sentence names: "a seven and two sneakers" -> 7, Sneaker.

A class is named by its name, by one of the parts of a name such as T-shirt/top, by a plural, or, if it
is a digit, by its word. Capitals count only for names of one letter, because a data set of letters has
both `q` and `Q`; the words `a` and `I` of a sentence are classes only in quotes.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from app.errors import ParameterError

ANYTHING = frozenset({"anything", "any image", "random", "a random image", "surprise me"})
"""Prompts that ask for samples of the prior, without a class."""

_WORD = re.compile(r"[^\W_]+(?:[-/][^\W_]+)*")
_QUOTED = re.compile(r"[\"'`\u2018\u201c]([^\W_])[\"'`\u2019\u201d]")
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_WORDS_OF_SENTENCES = frozenset({"a", "A", "I"})
_SHORTEST_PLURAL = 3
_MOST_LISTED = 100


def classes_named(prompt: str, classes: Sequence[str], model: str) -> tuple[int, ...]:
    """Return the indices of the classes that a prompt names, in its order, each once.

    An empty tuple means a sample of the prior. Raises ParameterError, which lists the classes, if the
    prompt names none.
    """
    text = " ".join(prompt.split())
    if text.casefold().strip(" .!") in ANYTHING:
        return ()
    names = _Names.of_classes(tuple(classes))
    indices = names.find(text)
    if indices:
        return indices
    shown = prompt.strip()[:80]
    if not classes:
        raise ParameterError(
            f"prompt: {model} has no classes, so it cannot draw {shown!r}",
            remedy="send the prompt `random` for samples of the model, or choose a model with classes",
        )
    listed = ", ".join(classes[:_MOST_LISTED])
    more = f" and {len(classes) - _MOST_LISTED} more" if len(classes) > _MOST_LISTED else ""
    raise ParameterError(
        f"prompt: {shown!r} names no class of {model}; it draws: {listed}{more}",
        remedy="name one or several of these in the prompt, or send `random` for any",
    )


class _Names:
    """The names by which the classes of a model can be called."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._exact: dict[str, int] = {}
        self._folded: dict[str, int] = {}
        for index, name in enumerate(classes):
            self._exact.setdefault(" ".join(name.split()), index)
        for index, name in enumerate(classes):
            for form in _forms(name):
                if len(form) > 1:
                    self._folded.setdefault(form.casefold(), index)
                else:
                    self._exact.setdefault(form, index)
        self._longest = max((form.count(" ") + 1 for form in self._folded), default=1)

    @staticmethod
    @lru_cache(maxsize=32)
    def of_classes(classes: tuple[str, ...]) -> "_Names":
        """Return the names of some classes, which are kept."""
        return _Names(classes)

    def find(self, text: str) -> tuple[int, ...]:
        """Return the indices of the classes in a text, in its order, each once."""
        whole = self._lookup(text.strip(" .!\"'"))
        if whole is not None:
            return (whole,)
        quoted = {match[1] for match in _QUOTED.finditer(text)}
        words = [match[0] for match in _WORD.finditer(text)]
        indices: list[int] = []
        place = 0
        while place < len(words):
            index, length = self._at(words, place, quoted)
            if index is not None:
                indices.append(index)
            place += length
        return tuple(dict.fromkeys(indices))

    def _at(self, words: Sequence[str], place: int, quoted: set[str]) -> tuple[int | None, int]:
        """Return the class that begins at a word, or None, and its number of words."""
        for length in range(min(self._longest, len(words) - place), 0, -1):
            name = " ".join(words[place : place + length])
            if name in _WORDS_OF_SENTENCES and name not in quoted:
                continue
            index = self._lookup(name)
            if index is not None:
                return index, length
        return None, 1

    def _lookup(self, name: str) -> int | None:
        index = self._exact.get(name)
        if index is None:
            index = self._folded.get(name.casefold())
        if index is None and len(name) == 1:
            index = self._exact.get(name.swapcase())
        return index


def _forms(name: str) -> list[str]:
    """Return the words for a class: its name, parts of it, plurals, and the word for a digit."""
    name = " ".join(name.split())
    forms = [name, *(part.strip() for part in name.split("/"))]
    if name.isascii() and name.isdigit() and len(name) == 1:
        word = _DIGITS[int(name)]
        forms += [word, f"{word}es" if word.endswith("x") else f"{word}s"]
        return forms
    plurals = [
        f"{form}{ending}"
        for form in forms
        if len(form) >= _SHORTEST_PLURAL and form[-1].isalpha()
        for ending in ("s", "es")
    ]
    return [form for form in (*forms, *plurals) if form]
