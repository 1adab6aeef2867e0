"""Unreadable samples: reported with dataset, index and path, and replaced up to a limit."""

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

_TRIES = 20
"""Number of samples that are tried for one position of a batch."""
logger = logging.getLogger("distill")


@dataclass(frozen=True)
class Read:
    """A sample that was read.

    Attributes:
        sample: What the dataset returned.
        index: Its index: that of a replacement, if the requested sample cannot be read.
        bad: The unreadable samples that were tried: index → description.
    """

    sample: Any
    index: int
    bad: dict[int, str]


def read_or_replace(read: Callable[[int], Any], index: int, dataset: Any, replacements: Sequence[int]) -> Read:
    """Return the sample at `index`, or a replacement that depends on `index` alone if it cannot be read.

    Args:
        read: Reads one sample.
        index: The requested sample.
        dataset: The dataset, for the message.
        replacements: The indices of samples that may be read instead.

    Raises:
        DataError: No replacement can be read either.
    """
    bad: dict[int, str] = {}
    for attempt in range(_TRIES):
        tried = index if attempt == 0 else replacements[derive_seed(index, attempt) % len(replacements)]
        if tried in bad:
            continue
        try:
            return Read(read(tried), tried, bad)
        except Exception as error:  # noqa: BLE001 - a dataset may raise anything
            bad[tried] = f"{describe(dataset, tried)}: {type(error).__name__}: {error}"
    message = "\n  ".join(["neither a sample nor its replacements can be read:", *bad.values()])
    raise DataError(message)


class BadSamples:
    """A counter of replaced samples that logs each of them once.

    Args:
        limit: Number of samples that may be replaced.
        logs: Whether to log them.
    """

    def __init__(self, limit: int, *, logs: bool = True) -> None:
        self.limit, self.logs = limit, logs
        self.found: dict[int, str] = {}

    def note(self, reads: list[tuple[int, dict[int, str]]], index: Tensor) -> Tensor:
        """Count the replacements in a batch.

        Args:
            reads: For each sample, the index that was read and the unreadable samples that were tried.
            index: (batch,) the requested samples.

        Returns:
            (batch,) the samples that were read.

        Raises:
            DataError: More samples than the limit cannot be read; the message lists them.
        """
        for _, bad in reads:
            for number, problem in bad.items():
                if number not in self.found:
                    self.found[number] = problem
                    if self.logs:
                        logger.warning("another sample replaces %s", problem)
        if len(self.found) > self.limit:
            message = "\n  ".join(
                [f"more samples than the {self.limit} of max_bad_samples cannot be read:", *self.found.values()]
            )
            raise DataError(message)
        return index.new_tensor([number for number, _ in reads])


def describe(dataset: Any, index: int) -> str:
    """Return the index of a sample, its dataset, and its file if the dataset lists files.

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
