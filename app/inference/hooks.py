"""Who wants to know what the engine and the catalog did: one interface, and one that forgets."""

from typing import Protocol


class Observer(Protocol):
    """Models are named `name@version`; times are in seconds."""

    def tile_done(self, model: str, images: int, inference_s: float) -> None:
        """A tile was computed, `images` of its rows for requests."""

    def request_done(self, model: str, images: int, queue_s: float, inference_s: float) -> None:
        """A request got its answer; called within the task of its waiter."""

    def model_loaded(self, model: str, *, ok: bool) -> None:
        """A version was loaded and warmed up, or refused."""

    def swapped(self, alias: str, *, ok: bool) -> None:
        """An alias in use now means another version, or stays where it was because that is bad."""


class Silence:
    """An observer that keeps nothing."""

    def tile_done(self, model: str, images: int, inference_s: float) -> None:
        """Forget it."""

    def request_done(self, model: str, images: int, queue_s: float, inference_s: float) -> None:
        """Forget it."""

    def model_loaded(self, model: str, *, ok: bool) -> None:
        """Forget it."""

    def swapped(self, alias: str, *, ok: bool) -> None:
        """Forget it."""
