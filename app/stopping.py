"""The phases of a stop, which the server sets and the app reads."""

import mmap


class Stopping:
    """Tells whether the service is being stopped, in this process and in those forked from it.

    Attributes:
        cutting: True once this process cancels the requests that have not ended in time.
    """

    def __init__(self) -> None:
        self.cutting = False
        self._shared = mmap.mmap(-1, 1)

    @property
    def announced(self) -> bool:
        """True from the moment at which the whole service begins to stop."""
        return self._shared[0] != 0

    def announce(self) -> None:
        """Begin to stop: `/readyz` answers 503 from now on, in all workers."""
        self._shared[0] = 1
