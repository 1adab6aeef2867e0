"""A stream whose items a function turns into samples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Self

from torch.utils.data import IterableDataset

_OF_SOURCE = frozenset({"state_dict", "load_state_dict", "set_epoch", "_distributed"})


class MappedStream(IterableDataset[Any]):
    """The samples that a function makes of the items of a stream, in their order. It resumes if the stream does.

    Args:
        source: An iterable dataset of torch or of `datasets`.
        function: Function from an item to a sample; None omits the item. All passes share it, so it must not have a state.

    >>> list(MappedStream([1, 2, 3], lambda item: None if item == 2 else item * 10))
    [10, 30]
    """

    def __init__(self, source: Any, function: Callable[[Any], Any]) -> None:
        self.source, self.function = source, function

    def __iter__(self) -> Iterator[Any]:
        """Yield the samples of a pass."""
        for item in self.source:
            sample = self.function(item)
            if sample is not None:
                yield sample

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a stream with a copy of the source, as each pass needs one."""
        other = copy.copy(self)
        other.source = copy.deepcopy(self.source, memo)
        return other

    def __getattr__(self, name: str) -> Any:
        """Return what a `Stream` asks its dataset for, if the source has it."""
        if name in _OF_SOURCE and "source" in vars(self):
            return getattr(self.source, name)
        raise AttributeError(name)
