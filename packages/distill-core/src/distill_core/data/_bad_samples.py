"""Samples that cannot be read: named with their data set, index and path, and replaced as far as that is allowed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import Subset

from ..errors import DataError
from ._seeds import derive_seed

_TRIES = 20  # stand-ins for one sample
logger = logging.getLogger("distill")


@dataclass(frozen=True)
class Read:
    """A sample as it was read.

    Attributes:
        sample: What the data set gave.
        index: Whose it is: that of a stand-in, if the sample that was asked for cannot be read.
        bad: What was found to be unreadable on the way: index → what and why.
    """

    sample: Any
    index: int
    bad: dict[int, str]


def read_or_replace(read: Callable[[int], Any], index: int, dataset: Any, stand_ins: Sequence[int]) -> Read:
    """The sample at `index`; if it cannot be read another one, which depends on `index` alone.

    Args:
        read: Reads one sample.
        index: The sample that is wanted.
        dataset: The data set, for the message.
        stand_ins: The indices of samples that may be read instead.

    Raises:
        DataError: The stand-ins cannot be read either.
    """
    bad: dict[int, str] = {}
    for attempt in range(_TRIES):
        tried = index if attempt == 0 else stand_ins[derive_seed(index, attempt) % len(stand_ins)]
        if tried in bad:
            continue
        try:
            return Read(read(tried), tried, bad)
        except Exception as error:  # noqa: BLE001  whatever a file can do to its reader
            bad[tried] = f"{describe(dataset, tried)}: {type(error).__name__}: {error}"
    message = "\n  ".join(["neither a sample nor those that were to stand in for it can be read:", *bad.values()])
    raise DataError(message)


class BadSamples:
    """Counts what had to be replaced; each is told once.

    Args:
        most: How many samples may be replaced.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.found: dict[int, str] = {}

    def note(self, reads: list[tuple[int, dict[int, str]]], index: Tensor) -> Tensor:
        """Take note of a batch.

        Args:
            reads: For each sample the index that was read, and what was bad on the way.
            index: (batch,) what was asked for.

        Returns:
            (batch,) what was read.

        Raises:
            DataError: There are more bad samples than may be; all are named.
        """
        for _, bad in reads:
            for number, problem in bad.items():
                if number not in self.found:
                    self.found[number] = problem
                    logger.warning("another sample stands in for %s", problem)
        if len(self.found) > self.most:
            message = "\n  ".join(
                [f"more samples than the {self.most} of max_bad_samples cannot be read:", *self.found.values()]
            )
            raise DataError(message)
        return index.new_tensor([number for number, _ in reads])


def describe(dataset: Any, index: int) -> str:
    """The sample's number, its data set, and its file where the data set lists files.

    >>> describe(["a", "b"], 1)
    'sample 1 of list'
    """
    path = _path(dataset, index)
    return f"sample {index} of {type(dataset).__name__}" + (f" ({path})" if path else "")


def _path(dataset: Any, index: int) -> str:
    while isinstance(dataset, Subset):
        dataset, index = dataset.dataset, dataset.indices[index]
    for attribute in ("samples", "imgs", "paths", "files"):
        listed = getattr(dataset, attribute, None)
        if isinstance(listed, list | tuple) and index < len(listed):
            entry = listed[index][0] if isinstance(listed[index], list | tuple) and listed[index] else listed[index]
            if isinstance(entry, str | os.PathLike):
                return os.fspath(entry)
    return ""
