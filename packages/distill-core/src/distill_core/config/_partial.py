"""Partial calls with a location in a file."""

from __future__ import annotations

import functools
from typing import Any


class Partial(functools.partial[Any]):
    """A partial call; its exceptions get a note with the location in the file."""

    note: str = ""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except Exception as error:
            error.add_note(self.note)
            raise
