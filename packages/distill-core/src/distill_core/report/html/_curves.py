"""Curves of runs from the lines of their `metrics.jsonl`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._axes import Point
from ._line_chart import Series, line_chart
from ._markup import Html, element
from ._run import ReportRun

TITLES = {"loss": "Training loss", "lr": "Learning rate", "grad_norm": "Gradient norm"}


def curves(runs: Sequence[ReportRun]) -> Html:
    """Return a chart for the loss, each term, the learning rate, the gradient norm and each metric of each split.

    The runs of a row have one colour. Training is drawn by optimizer step, a metric by epoch; by step if a run measured it
    several times in an epoch or has several stages. Each stage is a line: its loss is another quantity.
    """
    charts = [_training(runs, name, title) for name, title in TITLES.items()]
    charts[1:1] = [_training(runs, name, f"Loss term {name}", of="losses") for name in _names(runs, "losses")]
    splits = dict.fromkeys(str(each["split"]) for run in runs for each in run.records if "metrics" in each)
    for split in splits:
        lines = [[each for each in run.records if each.get("split") == split] for run in runs]
        charts += [_metric(runs, lines, split, name) for name in _names(runs, "metrics", split)]
    drawn = [chart for chart in charts if chart]
    return element("div", *drawn, class_="grid-of") if drawn else Html("")


def _names(runs: Sequence[ReportRun], key: str, split: str = "train") -> list[str]:
    """Return the keys of a mapping in the lines of a split, in the order of first appearance."""
    found = [_mapping(each, key) for run in runs for each in run.records if each.get("split") == split]
    return list(dict.fromkeys(name for values in found for name in values))


def _mapping(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = record.get(key)
    return value if isinstance(value, Mapping) else {}


def _training(runs: Sequence[ReportRun], name: str, title: str, *, of: str = "") -> Html:
    lines = [[each for each in run.records if each.get("split") == "train"] for run in runs]
    series = _series(runs, lines, "step", lambda record: (_mapping(record, of) if of else record).get(name))
    return line_chart(title, series, x_label="step", y_label=name)


def _metric(runs: Sequence[ReportRun], lines: Sequence[Sequence[Mapping[str, Any]]], split: str, name: str) -> Html:
    percent = any(name in (each.get("percent") or ()) for records in lines for each in records)
    scale = 100 if percent else 1
    x_label = "epoch" if all(_is_once_an_epoch(records) for records in lines) else "step"

    def value(record: Mapping[str, Any]) -> float | None:
        measured = _mapping(record, "metrics").get(name)
        return scale * measured if isinstance(measured, int | float) else None

    series = _series(runs, lines, x_label, value)
    if percent:
        return line_chart(f"{split} {name}", series, x_label=x_label, y_label=f"{name} (%)", bounds=(0, 100))
    return line_chart(f"{split} {name}", series, x_label=x_label, y_label=name)


def _is_once_an_epoch(records: Sequence[Mapping[str, Any]]) -> bool:
    epochs = [each["epoch"] for each in records]
    return len({each["stage"] for each in records}) < 2 and len(epochs) == len(set(epochs))


def _series(
    runs: Sequence[ReportRun],
    lines: Sequence[Sequence[Mapping[str, Any]]],
    x_label: str,
    value: Callable[[Mapping[str, Any]], Any],
) -> list[Series]:
    rows: dict[str, list[list[Point]]] = {run.row: [] for run in runs}
    for run, records in zip(runs, lines, strict=True):
        for _, stage in itertools.groupby(records, key=lambda record: record.get("stage")):
            points = [(float(record[x_label]), _number(value(record))) for record in stage]
            if any(math.isfinite(y) for _, y in points):
                rows[run.row].append(points)
    return [Series(name, index, drawn) for index, (name, drawn) in enumerate(rows.items()) if drawn]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
