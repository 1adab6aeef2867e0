"""Which rows of a table are used: what is held out of the training set, and how many of the rest."""

from __future__ import annotations

import torch

from distill_core.errors import DataError

from ._table import Table

HELD_OUT = "held_out"


def chosen_rows(table: Table, split: str, holdout: int = 0, limit: int | None = None) -> Table:
    """The rows of a split, in their order; which ones follows from the number of rows alone.

    Args:
        table: All rows.
        split: `train` is without the rows held out and `held_out` is those; any other is whole.
        holdout: How many rows of the training set are held out.
        limit: At most this many rows. A smaller number gives some of the rows that a greater one gives.

    Raises:
        DataError: `holdout` leaves nothing to train on, or holds nothing out; `limit` is below 1.
    """
    count = table.num_rows
    if not 0 <= holdout < max(count, 1) or (split == HELD_OUT and holdout == 0):
        message = f"holdout={holdout} of {count} rows leaves {split} without any"
        raise DataError(message)
    if limit is not None and limit < 1:
        message = f"limit is at least 1, not {limit}"
        raise DataError(message)
    if limit is None and (holdout == 0 or split not in ("train", HELD_OUT)):
        return table
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    parts = {"train": order[holdout:], HELD_OUT: order[:holdout]}
    rows = parts.get(split, order)[:limit].sort().values.tolist()
    return table.take(rows)
