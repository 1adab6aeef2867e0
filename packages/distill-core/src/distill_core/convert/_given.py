"""Plain data of the old file that remembers which of its keys were read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Given(dict[str, Any]):
    """Plain data of a mapping that remembers which of its keys were read.

    Args:
        values: The data.
        error: Returns the error about a key, from the key and a message.
        report: Reports that a key is omitted, from the key and the reason.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        error: Callable[[str, str], Exception],
        report: Callable[[str, str], None],
    ) -> None:
        super().__init__(values)
        self.error, self.report, self.seen = error, report, set[str]()

    def __missing__(self, key: str) -> Any:
        raise self.error(key, f"the key '{key}' is missing")

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

    def omit(self, key: str, reason: str) -> None:
        """Remove a value that changes no number, and report it."""
        if key in self:
            self.pop(key)
            self.report(key, reason)

    def only(self, key: str, *accepted: Any) -> None:
        """Read a value that has a counterpart only if it is one of `accepted`.

        Raises:
            LostError: The value is another.
        """
        if key in self and (value := self[key]) not in accepted:
            raise self.error(
                key, f"'{key}: {value}' has no counterpart, only {' or '.join(map(str, accepted))} has one"
            )

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
