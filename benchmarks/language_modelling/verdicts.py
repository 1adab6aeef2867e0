"""What a table of perplexities supports."""

import math
from collections.abc import Sequence

from distill_core import report


def verdicts(baseline: report.Row, distilled: Sequence[report.Row]) -> str:
    """Describe which students differ from the one without a teacher by more than twice the standard error.

    Rows of a single run have no deviation and are omitted.
    """
    lines = []
    for row in distilled:
        if min(row.seeds, baseline.seeds) < 2:
            continue
        noise = 2 * math.sqrt(row.best[1] ** 2 / row.seeds + baseline.best[1] ** 2 / baseline.seeds)
        gain = baseline.best[0] - row.best[0]
        kind = "within noise of" if abs(gain) <= noise else "better than" if gain > 0 else "worse than"
        lines.append(f"{row.name} is {kind} no teacher ({gain:+.1f}, noise {noise:.1f}).")
    return " ".join(lines)
