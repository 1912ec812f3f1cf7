"""Hooks that the engine and the model cache call; metrics implement them."""

from typing import Protocol


class EngineHooks(Protocol):
    """Events of inference. A model is named `name@version`; times are in seconds."""

    def batch_done(self, model: str, images: int, inference_s: float) -> None:
        """Record a computed batch; `images` is its number of rows without padding."""

    def request_done(self, model: str, images: int, queue_s: float, inference_s: float) -> None:
        """Record an answered request; called within the task that awaits the answer."""

    def waiting(self, images: int) -> None:
        """Record the number of images that are queued or being computed, after it changed."""

    def model_loaded(self, model: str, *, ok: bool) -> None:
        """Record that a version was loaded and warmed up, or that this failed."""

    def arithmetic_checked(self, model: str, *, ok: bool) -> None:
        """Record that an exact version's results match its golden hashes, or differ from them."""

    def swapped(self, alias: str, *, ok: bool) -> None:
        """Record that an alias now means another version, or that this version was refused."""

    def store_asked(self, *, ok: bool) -> None:
        """Record that the store was asked what the aliases mean, and whether it answered."""


class NullHooks:
    """Hooks that do nothing."""

    def batch_done(self, model: str, images: int, inference_s: float) -> None:
        """Do nothing."""

    def request_done(self, model: str, images: int, queue_s: float, inference_s: float) -> None:
        """Do nothing."""

    def waiting(self, images: int) -> None:
        """Do nothing."""

    def model_loaded(self, model: str, *, ok: bool) -> None:
        """Do nothing."""

    def arithmetic_checked(self, model: str, *, ok: bool) -> None:
        """Do nothing."""

    def swapped(self, alias: str, *, ok: bool) -> None:
        """Do nothing."""

    def store_asked(self, *, ok: bool) -> None:
        """Do nothing."""
