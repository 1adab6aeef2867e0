"""Plain data of the old file that remembers which of its keys were read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Given(dict[str, Any]):
    """Plain data of a mapping that remembers which of its keys were read.

    Args:
        values: The data.
        missing: Returns the error for a missing key.
    """

    def __init__(self, values: Mapping[str, Any], missing: Callable[[str], Exception]) -> None:
        super().__init__(values)
        self.missing, self.seen = missing, set[str]()

    def __missing__(self, key: str) -> Any:
        raise self.missing(key)

    def __getitem__(self, key: str) -> Any:
        self.seen.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, and remember that it was read."""
        self.seen.add(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a value, and remember that it was read."""
        self.seen.add(key)
        return super().pop(key, *default)

    def __iter__(self) -> Iterator[str]:
        self.seen.update(super().keys())
        return super().__iter__()

    def items(self) -> Any:
        """Return all keys and values; all are read."""
        self.seen.update(super().keys())
        return super().items()

    def unseen(self) -> list[str]:
        """Return the keys that were not read."""
        keys = super().keys()
        return [key for key in keys if key not in self.seen and not key.startswith("_")]
