"""Selection of the rows of a split: hold-out set and limit."""

from __future__ import annotations

import torch

from distill_core.errors import DataError

from ..tables import Table

HELD_OUT = "held_out"


def chosen_rows(table: Table, split: str, holdout: int = 0, limit: int | None = None) -> Table:
    """Return the rows of a split, in their order. The selection depends only on the number of rows.

    Args:
        table: All rows.
        split: `train` omits the held-out rows and `held_out` consists of them. Other splits are complete.
        holdout: Number of training rows to hold out.
        limit: Maximum number of rows. The rows of a smaller limit are a subset of those of a greater one.

    Raises:
        DataError: `holdout` leaves no rows, or `limit` is below 1.
    """
    count = table.num_rows
    if not 0 <= holdout < max(count, 1) or (split == HELD_OUT and holdout == 0):
        message = f"`holdout` of {holdout} leaves no rows for {split}: the table has {count}"
        raise DataError(message)
    if limit is not None and limit < 1:
        message = f"`limit` must be >= 1, got {limit}"
        raise DataError(message)
    if limit is None and (holdout == 0 or split not in ("train", HELD_OUT)):
        return table
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    splits = {"train": order[holdout:], HELD_OUT: order[:holdout]}
    rows = splits.get(split, order)[:limit].sort().values.tolist()
    return table.take(rows)
