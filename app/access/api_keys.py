"""Read API keys from a file, which holds only their hashes.

    [[key]]
    name = "web"
    sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    scopes = ["generate", "upload"]

A key has 256 random bits, so that its SHA-256 cannot be guessed and needs no salt.
"""

import hashlib
import hmac
import logging
import os
import secrets
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import SettingsError

log = logging.getLogger("zserve")

Scope = Literal["generate", "upload", "promote"]
SCOPES: tuple[Scope, ...] = ("generate", "upload", "promote")
CHECK_INTERVAL_S = 1.0
"""Seconds between two looks at the file."""


class ApiKey(BaseModel):
    """A key: its name in logs and limits, the SHA-256 of its text, and what it may do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[frozenset[Scope], Field(min_length=1)]


class _KeyFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: tuple[ApiKey, ...] = ()


class KeyRing:
    """The API keys of a file, which is read again when it changes.

    Raises SettingsError if the file cannot be used. If a later state of it cannot be used, the
    former keys stay valid, and the log says why.

    Args:
        path: File with the keys.
        clock: Returns a monotonic time in seconds.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._checked_at = clock()
        self._state = _state(path)
        self._keys = read_keys(path)

    def find(self, secret: str) -> ApiKey | None:
        """Return the key with this text, or None.

        Every key is compared, in constant time each, so that the time depends on their number only.
        """
        self._read_again()
        digest = digest_of(secret)
        match = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                match = key
        return match

    def _read_again(self) -> None:
        """Read the file if it has changed since the last look."""
        now = self._clock()
        if now < self._checked_at + CHECK_INTERVAL_S:
            return
        self._checked_at = now
        state = _state(self._path)
        if state == self._state:
            return
        self._state = state
        try:
            self._keys = read_keys(self._path)
        except SettingsError as error:
            log.error("the former API keys stay valid: %s", error)  # noqa: TRY400 - expected
        else:
            log.info("read %d API keys from %s", len(self._keys), self._path)


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Return the keys in a file; raises SettingsError with one line that names the fault."""
    try:
        keys = _KeyFile.model_validate(tomllib.loads(path.read_text("utf-8-sig"))).key
    except OSError as error:
        raise SettingsError(f"API keys: {path}: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"API keys: {path}: {place}: {first['msg']}") from error
    except ValueError as error:
        raise SettingsError(f"API keys: {path}: {str(error).splitlines()[0]}") from error
    for attribute in ("name", "sha256"):
        values = [getattr(key, attribute) for key in keys]
        if len(set(values)) < len(values):
            raise SettingsError(f"API keys: {path}: two keys have the same {attribute}")
    return keys


def new_key() -> str:
    """Return the text of a new key, with 256 random bits."""
    return f"zs_{secrets.token_urlsafe(32)}"


def digest_of(secret: str) -> str:
    """Return the SHA-256 of the text of a key, as hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def add_key(path: Path, name: str, scopes: frozenset[Scope]) -> str:
    """Add a key to a file, which is replaced in one step, and return the text of the key."""
    secret = new_key()
    key = ApiKey(name=name, sha256=digest_of(secret), scopes=scopes)
    former = path.read_text("utf-8-sig") if path.exists() else ""
    listed = ", ".join(f'"{scope}"' for scope in SCOPES if scope in key.scopes)
    entry = f'[[key]]\nname = "{key.name}"\nsha256 = "{key.sha256}"\nscopes = [{listed}]\n'
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(f"{former.rstrip()}\n\n{entry}".lstrip(), "utf-8")
        read_keys(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return secret


def _state(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with the content of a file, or None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
