"""The metrics of a run as a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rich import box
from rich.table import Table

from ...number_text import describe_number

_POSITION = ("stage", "epoch")
_MOST_COLUMNS = 8  # of metrics; COCO has twelve for each split, and then each has a line


def results_table(results: Mapping[str, Any]) -> Table:
    """Return a table of the best and the last epoch with their metrics on each split.

    Args:
        results: The content of `results.json`.
    """
    selection = results.get("selection")
    rows = {}
    if results.get("best"):
        rows[f"best ({selection['mode']} {selection['metric']} on {selection['split']})" if selection else "best"] = (
            results["best"]
        )
    rows["last"] = results["last"]
    several = any(row["stage"] for row in rows.values())
    heads = {name: {"stage": row["stage"] + 1} if several else {} for name, row in rows.items()}
    lines = {name: (heads[name] | {"epoch": row["epoch"]}, _splits(row)) for name, row in rows.items()}
    return metrics_table(lines, results.get("percent", ()))


def metrics_table(
    rows: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Mapping[str, float]]]], percent: Collection[str] = ()
) -> Table:
    """Return a table with a row for each name and a column for each `split metric`; transposed if there are many metrics.

    Args:
        rows: Name → (column → text, split → metric → value).
        percent: The metrics that are fractions, printed in percent.
    """
    numbers = {
        name: {
            f"{split} {metric}": describe_number(value, percent=metric in percent)
            for split, metrics in splits.items()
            for metric, value in metrics.items()
        }
        for name, (_, splits) in rows.items()
    }
    heads = list(dict.fromkeys(name for head, _ in rows.values() for name in head))
    columns = list(dict.fromkeys(column for row in numbers.values() for column in row))
    cells = [
        [
            name,
            *(str(rows[name][0].get(column, "")) for column in heads),
            *(numbers[name].get(column, "–") for column in columns),
        ]
        for name in rows
    ]
    lines = [["", *heads, *columns], *cells]
    if len(columns) > _MOST_COLUMNS:
        lines = [list(line) for line in zip(*lines, strict=True)]
    table = Table(box=box.SIMPLE_HEAD)
    for number, head in enumerate(lines[0]):
        table.add_column(head, justify="right" if number else "left")
    for line in lines[1:]:
        table.add_row(*line)
    return table


def _splits(row: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    splits = {name: metrics for name, metrics in row.items() if name not in _POSITION and isinstance(metrics, Mapping)}
    return dict(sorted(splits.items(), key=lambda item: item[0] == "test"))
