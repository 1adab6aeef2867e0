"""The table at the end of a run."""

from __future__ import annotations

import io

from rich.console import Console

from distill_core.cli.run._results import metrics_table


def printed(count: int) -> str:
    metrics = {f"metric{number}": number / 7 for number in range(count)}
    rows = {name: ({"epoch": 3}, {"val": metrics}) for name in ("best", "last")}
    console = Console(file=io.StringIO(), width=80)
    console.print(metrics_table(rows))
    return console.file.getvalue()


def test_few_metrics_are_columns():
    head, best = (line.split() for line in printed(2).splitlines() if "epoch" in line or "best" in line)
    assert head == ["epoch", "val", "metric0", "val", "metric1"]
    assert best == ["best", "3", "0.0000", "0.1429"]


def test_many_metrics_are_lines_so_that_none_is_cut_off():
    lines = [line.split() for line in printed(12).splitlines()]
    assert ["best", "last"] in lines
    assert ["val", "metric11", "1.5714", "1.5714"] in lines
    assert "…" not in printed(12)
