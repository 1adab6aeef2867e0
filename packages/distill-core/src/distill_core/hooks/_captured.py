"""Values of a forward by address."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import WiringError


class Captured(Mapping[str, Any]):
    """The values of one forward by address; inside the `with` block, the values so far.

    Reading a value that was not recorded raises `WiringError`. Reading an address that is not tapped raises `KeyError`.

    Args:
        addresses: The addresses as they were given.
        read: Returns the value of an address, until the end of the block.
    """

    def __init__(self, addresses: tuple[str, ...], read: Callable[[str], Any]) -> None:
        self._addresses = addresses
        self._read: Callable[[str], Any] | None = read
        self._values: dict[str, Any] = {}

    def close(self) -> None:
        """Keep the recorded values, or the error of a missing one, and release everything else."""
        for address in self._addresses:
            try:
                self._values[address] = self[address]
            except WiringError as error:
                self._values[address] = error.with_traceback(None)
        self._read = None

    def clear(self) -> None:
        """Release all values, because the forward failed."""
        self._read = None
        self._values = {
            address: WiringError(f"{address!r} has no value: the forward failed") for address in self._addresses
        }

    def __getitem__(self, address: str) -> Any:
        if address not in self._addresses:
            raise KeyError(address)
        value = self._read(address) if self._read else self._values[address]
        if isinstance(value, WiringError):
            raise value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._addresses)

    def __len__(self) -> int:
        return len(self._addresses)

    def __repr__(self) -> str:
        return f"Captured({', '.join(map(repr, self._addresses))})"
