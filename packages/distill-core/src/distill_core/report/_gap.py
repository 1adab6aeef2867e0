"""How much of the gap between a student trained alone and its teacher a distilled student closes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ._runs import Row


def gaps_closed(rows: Sequence[Row]) -> list[float]:
    """Return (distilled − alone) / (teacher − alone) for each row, from the means of the best epoch.

    The references are rows of runs with one model: the student alone has as many parameters as the student of the row, the
    teacher as many as its teacher. The value is `nan` if there is not exactly one row of each, or if the two do not differ.
    """
    return [_gap_closed(row, rows) for row in rows]


def _gap_closed(row: Row, rows: Sequence[Row]) -> float:
    if not row.teacher_parameters:
        return math.nan
    single = [other for other in rows if not other.teacher_parameters and other.metric == row.metric]
    alone = [other.best[0] for other in single if other.parameters == row.parameters]
    teacher = [other.best[0] for other in single if other.parameters == row.teacher_parameters]
    if len(alone) != 1 or len(teacher) != 1 or teacher == alone:
        return math.nan
    return (row.best[0] - alone[0]) / (teacher[0] - alone[0])
