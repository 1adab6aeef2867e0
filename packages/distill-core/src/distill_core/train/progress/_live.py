"""The base class of displays that hold a terminal."""

from __future__ import annotations

from ..callbacks import Callback


class LiveDisplay(Callback):
    """A display that is closed when the run ends, also by an error."""

    def close(self) -> None:
        """Draw a last time and release the terminal."""
