"""Read the small JSON files of a version as validated values."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from model_store.errors import CorruptVersionError

File = TypeVar("File", bound=BaseModel)


def read(kind: type[File], content: bytes, max_bytes: int) -> File:
    """Return the value of a JSON file of at most `max_bytes`; raises CorruptVersionError."""
    if len(content) > max_bytes:
        raise CorruptVersionError(f"it has {len(content)} bytes, at most {max_bytes} are read")
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise CorruptVersionError(first_problem(error)) from error


def first_problem(error: ValidationError) -> str:
    """Return the first fault of a value that pydantic refused, and its place."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])
