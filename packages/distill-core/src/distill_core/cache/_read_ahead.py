"""Announces rows of a cache that will be read soon, so that the operating system reads them in the background."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor

from ._shard import Shard

READ_AHEAD = 4
"""Number of batches that are announced ahead of the current one."""


class ReadAhead:
    """Announces rows of complete views.

    A row is announced once if all views fit into half of the memory, because its pages stay there, and otherwise again
    in each epoch. On systems without `posix_fadvise` (macOS, Windows) nothing is announced.

    Args:
        views: Number of views.
    """

    def __init__(self, views: int) -> None:
        self._views = views
        self._known: dict[int, Tensor] = {}

    def announce(self, view: int, shard: Shard, batches: Iterable[Tensor], *, omit: str = "") -> None:
        """Announce what will be read, until a batch was announced before.

        Args:
            view: The view.
            shard: Its file.
            batches: The rows of the next batches, the last batch first and the one to read now last.
            omit: A part that will not be read.
        """
        if not hasattr(os, "posix_fadvise"):
            return
        if view not in self._known:
            self._known[view] = torch.zeros(shard.rows, dtype=torch.bool)
        known = self._known[view]
        for rows in batches:
            new = rows[~known[rows]]
            if len(new) == 0:
                return
            known[new] = True
            shard.will_need(new, omit=omit)

    def was_read(self, view: int, shard: Shard, rows: Tensor) -> None:
        """Forget rows (batch,) that were announced and read, if their pages may not stay in memory."""
        if view in self._known and self._views * shard.num_bytes > _memory() // 2:
            self._known[view][rows] = False


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
